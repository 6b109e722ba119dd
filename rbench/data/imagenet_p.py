"""ImageNet-P (Hendrycks and Dietterich, ICLR 2019): sequences of perturbed images, from its videos."""

from pathlib import Path

from rbench.data.folders import FileView, joined, places, remedy, required
from rbench.data.groups import against, check_difficulties, file_name
from rbench.data.image_files import Square
from rbench.data.video import VideoFiles, decode
from rbench.datasets import Dataset
from rbench.errors import MissingError

SUFFIXES = (".mp4",)


def imagenet_p(
    dataset: Dataset,
    seed: int,  # noqa: ARG001 - files hold no randomness
    *,
    perturbation: str,
    difficulties: tuple[int, ...] = (1,),
    folder: str = "ImageNet-P",
    size: int = 224,
) -> FileView:
    """One perturbation of ImageNet-P, uint8 [n, frames, 3, size, size]; a group is a difficulty.

    Read from `<folder>/<perturbation>/<wnid>/<stem>.mp4`, for difficulties 2 and 3 of noises from `<perturbation>_2`
    and `<perturbation>_3`, or from the same under noise/, blur/, weather/ or digital/; joined to the dataset by class
    and stem. The first video says how many frames all have. Nothing is scaled. Raises `MissingError` that names all
    missing folders, and for missing, extra or broken videos, and `UsageError` without the extra `video`.
    """
    check_difficulties(perturbation, difficulties)
    root = required(folder, perturbation)
    cells = {d: found for d in difficulties if (found := _cell(root, file_name(perturbation, d)))}
    if missing := [file_name(perturbation, d) for d in difficulties if d not in cells]:
        raise MissingError(f"{root} has no {', '.join(missing)}. {remedy(folder, perturbation)}.")
    advice = remedy(folder, perturbation)
    names = {d: joined(dataset, cell, SUFFIXES, advice) for d, cell in cells.items()}
    first = difficulties[0]
    video = cells[first] / names[first][0]
    if (frames := len(decode(video))) < 2:
        raise MissingError(f"{video} has a single frame, which is no sequence. {advice}.")
    like = VideoFiles(folder, dataset.classes, (), dataset.labels, Square(size), frames=frames)
    provenance = {"source": "files", "files": folder, "official": "unknown", "transform": "none", "decoder": "PyAV"}
    return FileView(difficulties, frames, against(perturbation), provenance, like, cells, names)


def _cell(root: Path, name: str) -> Path | None:
    """The folder of that name, wherever it lies; raises `MissingError` if it is there twice."""
    found = [place / name for place in places(root) if (place / name).is_dir()]
    if len(found) > 1:
        raise MissingError(f"{found[0]} and {found[1]} are the same perturbation. Remove one of them.")
    return found[0] if found else None
