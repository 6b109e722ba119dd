"""What corruptions and perturbations are normalised by: the errors and flips of another model, taken as exact."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from rbench.catalog import read_spec
from rbench.errors import MissingError, UndefinedError, UsageError
from rbench.files import sha256
from rbench.metrics._images import Pairing, errors, first_few, flips, mean, top5s, zipfs
from rbench.metrics.rankings import FARTHEST_TOP5, FARTHEST_ZIPF, TOP
from rbench.types import STRICT, Outcomes

Kind = Literal["error", "flip", "t5d", "zipf"]
KINDS: Mapping[Kind, tuple[str, float]] = {
    "error": ("error", 1.0),
    "flip": ("flip probability", 1.0),
    "t5d": ("top-5 distance", FARTHEST_TOP5),
    "zipf": ("Zipf distance", FARTHEST_ZIPF),
}


@dataclass(frozen=True)
class Baseline:
    """The values of a model by probe; a metric that divides by them takes them as exact.

    `error` are shares, averaged over the `severities` of the probe; `flip` (probabilities), `t5d` and `zipf` are of
    sequences of one `difficulty`. `digest` is the sha256 of what they come from: of a file if they were `published`.
    """

    name: str
    digest: str
    error: Mapping[str, float] = field(default_factory=dict)
    flip: Mapping[str, float] = field(default_factory=dict)
    t5d: Mapping[str, float] = field(default_factory=dict)
    zipf: Mapping[str, float] = field(default_factory=dict)
    severities: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    difficulty: int = 1
    published: bool = False

    @classmethod
    def from_toml(cls, path: Path) -> "Baseline":
        """Published values: tables [error], [flip], [t5d] and [zipf] of probe = value; an error may be a list.

        A list is by severity. Errors are over severities 1 to 5 unless the key `severities` names others, the rest is
        of `difficulty` 1 unless that key says so. Raises `MissingError` if there is no such file, and `UsageError`
        that names the file and the key for anything but such values.
        """
        if not path.is_file():
            raise MissingError(f"no file {path} with the values of a baseline.")
        read = read_spec(path, _Published)
        listed = {p: (given,) if isinstance(given, float) else given for p, given in read.error.items()}
        for probe, values in listed.items():
            if len(values) not in (1, len(read.severities)):
                raise UsageError(f"{path}: error.{probe} lists {len(values)} of {len(read.severities)} severities.")
        _check(path, "error", listed)
        _check(path, "flip", {probe: (value,) for probe, value in read.flip.items()})
        _check(path, "t5d", {probe: (value,) for probe, value in read.t5d.items()})
        _check(path, "zipf", {probe: (value,) for probe, value in read.zipf.items()})
        return cls(
            name=read.name,
            digest=sha256(path),
            error={probe: mean(values) for probe, values in listed.items()},
            flip=read.flip,
            t5d=read.t5d,
            zipf=read.zipf,
            severities=dict.fromkeys(read.error, read.severities),
            difficulty=read.difficulty,
            published=True,
        )

    @classmethod
    def from_outcomes(
        cls,
        name: str,
        digest: str,
        outcomes: Mapping[str, Outcomes],
        against_first: Collection[str] = (),
        difficulty: int = 1,
    ) -> "Baseline":
        """The values of a model that was run: errors of single images; flips and distances of what has sequences.

        `against_first` are the probes whose frames are compared with the first one; frames of the others are compared
        `difficulty` apart. Raises `ValueError` that names a probe of which rows are missing or there twice.
        """
        pairing = Pairing(against_first, difficulty, difficulty)
        stills = {p: errors(p, rows) for p, rows in outcomes.items() if not rows.frame.any()}
        moving = {p: rows for p, rows in outcomes.items() if p not in stills}
        ranked = {p: rows for p, rows in moving.items() if rows.top.shape == (len(rows), TOP)}
        full = {p: r for p, r in ranked.items() if len(r.zipf) == len(r) and (difficulty == 1 or p in against_first)}
        return cls(
            name=name,
            digest=digest,
            error={p: images.value for p, images in stills.items()},
            flip={p: flips(p, rows, pairing).value for p, rows in moving.items()},
            t5d={p: top5s(p, rows, pairing).value for p, rows in ranked.items()},
            zipf={p: zipfs(p, rows, pairing).value for p, rows in full.items()},
            severities={p: images.groups for p, images in stills.items()},
            difficulty=difficulty,
        )

    def of(self, kind: Kind, probe: str) -> float:
        """The value of a probe; raises `ValueError` that names baseline and probe if there is none."""
        values: Mapping[str, float] = getattr(self, kind)
        if probe not in values:
            raise ValueError(f"baseline {self.name!r} has no {KINDS[kind][0]} of {probe!r}")
        return values[probe]

    def unit(self, kind: Kind, probe: str, groups: tuple[int, ...]) -> float:
        """The value of a probe to divide by, of the same severities or difficulty as what is divided.

        Raises `ValueError` that names baseline and probe if there is none, or if it is of others, and `UndefinedError`
        if it is 0.
        """
        value, what = self.of(kind, probe), KINDS[kind][0]
        own = self.severities.get(probe, groups) if kind == "error" else (self.difficulty,)
        if groups != own:
            at = "severities" if kind == "error" else "difficulty"
            raise ValueError(
                f"baseline {self.name!r} has its {what} of {probe!r} at {at} {first_few(own)}, not {first_few(groups)}"
            )
        if value == 0:
            raise UndefinedError(f"baseline {self.name!r} has {what} 0 of {probe!r}, and nothing can be divided by 0")
        return value


@dataclass(frozen=True)
class _Published:
    """A file of published values."""

    __pydantic_config__: ClassVar = STRICT
    name: str
    error: Mapping[str, float | tuple[float, ...]] = field(default_factory=dict)
    flip: Mapping[str, float] = field(default_factory=dict)
    t5d: Mapping[str, float] = field(default_factory=dict)
    zipf: Mapping[str, float] = field(default_factory=dict)
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)
    difficulty: int = 1


def _check(path: Path, kind: Kind, values: Mapping[str, Sequence[float]]) -> None:
    what, top = KINDS[kind]
    for probe, listed in values.items():
        for value in listed:
            if not 0 <= value <= top:
                wanted = "in [0, 1], not in percent" if top == 1 else f"in [0, {top:.4g}]"
                raise UsageError(f"{path}: {kind}.{probe} = {value} must be the {what} {wanted}.")
