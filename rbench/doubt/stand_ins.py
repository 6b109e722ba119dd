"""What the provenance of corrupted images says about the numbers made from them: diagnostics RB150 and up; pure."""

from collections.abc import Mapping

from rbench.doubt.diagnostics import Bound, Diagnostic
from rbench.types import Finding

HENDRYCKS = "Hendrycks and Dietterich, ICLR 2019, and github.com/hendrycks/robustness, issues 16 and 31"

STAND_INS = (
    Diagnostic(
        "RB150",
        "data.generated",
        "whether images were made anew while the baseline's values are of the official files",
        "Official files were made without a seed and stored as JPEG, which takes away a part of the noise, so that the "
        "numbers of images made anew are near the official ones and not equal to them.",
        "evaluate the official files, or name a model of the catalog as the suite's baseline",
        HENDRYCKS,
        Bound(0.0),
    ),
    Diagnostic(
        "RB151",
        "data.frost",
        "whether frost was drawn by this package because the photographs were not there",
        "The photographs may not be redistributed. The frost in their place has their statistics, not their look.",
        "name the folder of the photographs in $RBENCH_FROST, or install imagecorruptions, which brings them",
        "github.com/hendrycks/robustness, folder ImageNet-C/imagenet_c/imagenet_c/frost",
        Bound(0.0),
    ),
    Diagnostic(
        "RB152",
        "data.unofficial",
        "whether files have the MD5 of the official archive's",
        "The files carry the official names, and hold something else.",
        "fetch the archive again, from the Zenodo record that its authors name",
        "MD5 sums of Zenodo's records and of the archives' contents",
        Bound(0.0),
    ),
)
_CODES = {found.code: found for found in STAND_INS}


def of_view(provenance: Mapping[str, str], *, published: bool) -> tuple[Finding, ...]:
    """The findings on the images of one probe; `published` says that they are compared with official values."""
    found: tuple[Finding, ...] = ()
    if published and provenance.get("source") == "generated":
        how = f"made by {provenance['by']}" if "by" in provenance else "made on the fly"
        message = f"images were {how}, and compared with values of the official files."
        found += _CODES["RB150"].find(1.0, message)
    if provenance.get("frost") == "procedural":
        message = "frost = procedural: the photographs of the official corruption were not at hand."
        found += _CODES["RB151"].find(1.0, message) if published else (Finding("RB151", "info", message),)
    if provenance.get("official") == "no":
        changed = provenance.get("changed", "files")
        message = f"not the official ones in {provenance.get('files', 'the folder')}: {changed}."
        found += _CODES["RB152"].find(1.0, message)
    return found
