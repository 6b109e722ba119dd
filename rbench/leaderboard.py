"""RobustBench's leaderboards, which are folders of JSON files: theirs read, ours written.

Its repository keeps one file a model, model_info/DATASET/THREAT/MODEL.json, with the keys of `KEYS` and accuracies in
percent as text, "89.69" (RobustBench/robustbench: model_info/, leaderboard/template.py and `ModelInfo` in utils.py).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from rbench.errors import MissingError, UsageError, unknown
from rbench.types import Score, Suite, Verdict, fraction

ROBUST = {"Linf": "autoattack_acc", "L2": "autoattack_acc", "corruptions": "corruptions_acc"}
OURS = {"Linf": "aa", "L2": "aa", "corruptions": "error"}  # the score that asks the same
THREATS = {"linf": "Linf", "l2": "L2"}
REQUIRED = ("link", "name", "authors", "additional_data", "number_forward_passes", "venue", "architecture")
DESCRIPTION = (*REQUIRED, "reported", "footnote")  # what only the authors of a model know
KEYS = (*DESCRIPTION, "dataset", "eps", "clean_acc", *dict.fromkeys(ROBUST.values()), "external", "unreliable")


@dataclass(frozen=True)
class Entry:
    """A model of a leaderboard: what its file says, accuracies in percent; `robust` is by AutoAttack, or corruptions.

    `external` is the lowest that others found, `reported` what its own paper says.
    """

    model: str
    file: Path
    paper: str
    venue: str
    link: str
    architecture: str
    eps: str
    clean: float | None
    robust: float | None
    external: float | None
    reported: float | None
    unreliable: bool
    footnote: str

    def same_eps(self, suite: Suite) -> bool:
        """Whether its radius is that of a suite, which entries without one have too."""
        return not self.eps or suite.threat is None or fraction(self.eps, "eps") == Fraction(suite.threat.eps)


def place_of(suite: Suite) -> tuple[str, str]:
    """The dataset and threat of the leaderboard that asks what a suite asks; raises `UsageError` if there is none."""
    threat = THREATS[suite.threat.norm] if suite.threat is not None else "corruptions"
    if OURS[threat] not in {score.name for score in suite.scores}:
        raise UsageError(
            f"suite {suite.name!r} has no score {OURS[threat]!r}, which is what RobustBench's {threat} leaderboards "
            "rank by; choose one that has it, such as cifar10-linf, cifar10-l2 or cifar10-c."
        )
    return suite.dataset, threat


def read(folder: Path, dataset: str, threat: str) -> list[Entry]:
    """The entries of one leaderboard, best first; `folder` is a checkout, its model_info, or the folder of the files.

    Raises `MissingError` if it holds no such files, and `UsageError` for one that says what cannot be.
    """
    tried = [folder / "model_info" / dataset / threat, folder / dataset / threat]
    tried += [folder] if folder.parts[-2:] == (dataset, threat) else []
    place = next((path for path in tried if path.is_dir()), None)
    files = sorted(place.glob("*.json")) if place is not None else []
    if not files:
        raise MissingError(
            f"{folder} holds no leaderboard {dataset}/{threat}; name a checkout of RobustBench's repository, where "
            f"model_info/{dataset}/{threat} has a JSON file for each model."
        )
    return sorted((_entry(file, threat) for file in files), key=lambda entry: -(entry.robust or 0))


def _entry(file: Path, threat: str) -> Entry:
    try:
        told = dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UsageError(f"{file} is no JSON of an entry ({error}); restore it.") from error
    words = {key: str(told.get(key) or "") for key in ("name", "venue", "link", "architecture", "eps", "footnote")}
    if words["eps"]:
        fraction(words["eps"], f"{file}: eps")
    percents = {
        key: _percent(file, key, told.get(key)) for key in ("clean_acc", ROBUST[threat], "external", "reported")
    }
    return Entry(
        file.stem,
        file,
        words["name"],
        words["venue"],
        words["link"],
        words["architecture"],
        words["eps"],
        percents["clean_acc"],
        percents[ROBUST[threat]],
        percents["external"],
        percents["reported"],
        bool(told.get("unreliable", False)),
        words["footnote"],
    )


def _percent(file: Path, key: str, value: Any) -> float | None:
    """A number of percent, None where there is none; raises `UsageError` for anything else."""
    if value is None or not str(value).strip().strip("-"):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise UsageError(f"{file}: {key} = {value!r} is no number of percent.") from None
    if not 0 <= found <= 100:
        raise UsageError(f"{file}: {key} = {value!r} lies outside 0 to 100 percent.")
    return found


def submission(
    suite: Suite, scores: Mapping[str, Score | None], verdict: Verdict | None, described: Mapping[str, Any]
) -> dict[str, Any]:
    """Our numbers of one run as the file of a leaderboard, with what only the authors know, `described`.

    Where another probe leaves fewer than AutoAttack does, `external` has the worst case. Raises `UsageError` for
    scores that are missing and for keys that the format has not.
    """
    dataset, threat = place_of(suite)
    for key in described:
        if key not in DESCRIPTION:
            raise unknown("key", key, DESCRIPTION, "RobustBench's format")
    needed = {"clean_acc": "clean", ROBUST[threat]: OURS[threat]}
    lower = {score.name for score in suite.scores if not score.higher_is_better}
    accuracy = {
        name: 1 - score.value if name in lower else score.value for name, score in scores.items() if score is not None
    }
    for name in needed.values():
        if name not in accuracy:
            raise UsageError(f"the run has no score {name!r} yet; finish it: rbench eval --suite {suite.name} ...")
    eps = suite.threat.eps if suite.threat is not None else None
    told = {key: described.get(key) for key in REQUIRED} | dict(described) | {"dataset": dataset, "eps": eps}
    told |= {key: f"{100 * accuracy[name]:.2f}" for key, name in needed.items()}
    if threat in THREATS.values() and accuracy.get("worst", 1.0) < accuracy["aa"]:
        told["external"] = f"{100 * accuracy['worst']:.2f}"
    if verdict == "unreliable":
        told["unreliable"] = True
    return told
