"""The groups of corrupted and perturbed images, severities and difficulties, and what the authors call their files."""

from typing import Literal

from rbench.corruptions.sequence_tables import AGAINST_FIRST as NOISES
from rbench.errors import UsageError

Against = Literal["first", "previous"]
DIFFICULTIES = (1, 2, 3)


def check_groups(what: str, groups: tuple[int, ...], allowed: tuple[int, ...]) -> None:
    """Refuse severities or difficulties that are none, or are named twice, with `UsageError`."""
    if not groups or len(set(groups)) != len(groups) or not set(groups) <= set(allowed):
        raise UsageError(f"{what} = {list(groups)} must be some of {', '.join(map(str, allowed))}, each once.")


def check_difficulties(perturbation: str, difficulties: tuple[int, ...]) -> None:
    """Refuse difficulties for which the authors have no files, with `UsageError`."""
    check_groups("difficulties", difficulties, DIFFICULTIES)
    if perturbation not in NOISES and difficulties != (1,):
        raise UsageError(
            f"difficulties = {list(difficulties)} of {perturbation!r}: only noises ({', '.join(NOISES)}) have "
            f"files for each; elsewhere difficulty d compares frames of the same files that are d apart."
        )


def against(perturbation: str) -> Against:
    """What a frame is compared with: the first, clean one in sequences of noise, else the one before it."""
    return "first" if perturbation in NOISES else "previous"


def file_name(perturbation: str, difficulty: int) -> str:
    """The name of a difficulty's file or folder: "shot_noise", "shot_noise_2"."""
    return perturbation if difficulty == 1 else f"{perturbation}_{difficulty}"
