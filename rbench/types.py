"""The nouns of rbench: frozen values that names, plans, evidence and tables are made of. NumPy only."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from rbench.errors import UsageError
from rbench.files import digest_of

STRICT = {"extra": "forbid"}  # read by pydantic: an unknown key in a TOML file is an error
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Level = Literal["info", "warn", "error"]
Verdict = Literal["reliable", "suspect", "unreliable"]


def fraction(text: str | float, what: str) -> Fraction:
    """An exact number from text as papers print it (`8/255`, `0.03`); raises `UsageError` on nonsense."""
    try:
        value = Fraction(str(text).strip())
        float(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise UsageError(f"{what} = {text!r} is not a number; write a fraction like '8/255' or '0.03'.") from None
    return value


@dataclass(frozen=True)
class Call:
    """Code named by data: `use` is "package.module:function" or "file.py:function"; `args` go to its parameters."""

    __pydantic_config__: ClassVar = STRICT
    use: str
    args: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        module, colon, name = self.use.rpartition(":")
        if not (module and colon and name.isidentifier()):
            raise UsageError(f"use = {self.use!r} is no pointer; write 'package.module:function'.")


@dataclass(frozen=True)
class Threat:
    """The rules of the game: perturbations of norm at most eps, in units of images in [0, 1]; eps is exact text."""

    __pydantic_config__: ClassVar = STRICT
    norm: Literal["linf", "l2"]
    eps: str

    def __post_init__(self) -> None:
        value = fraction(self.eps, "eps")
        if value <= 0:
            raise UsageError(f"eps = {self.eps!r} must be greater than 0.")
        if self.norm == "linf" and value > 1:
            remedy = f"Did you mean '{self.eps}/255'?" if value <= 255 else "Write '8/255' or '0.03'."
            raise UsageError(f"eps = {self.eps!r} is wider than the whole range [0, 1] of a pixel. {remedy}")

    @property
    def radius(self) -> float:
        """The value of eps as a float, in units of images in [0, 1]."""
        return float(Fraction(self.eps.strip()))


@dataclass(frozen=True)
class Reported:
    """A number that a model's paper claims, in percent, with the place where it is printed."""

    __pydantic_config__: ClassVar = STRICT
    suite: str
    score: str
    value: float
    source: str


@dataclass(frozen=True)
class ModelCard:
    """A model: its architecture, the recipe and file of its weights, its provenance and what its paper claims."""

    __pydantic_config__: ClassVar = STRICT
    name: str
    title: str
    arch: Call
    dataset: str
    recipe: str | None = None
    weights: str | None = None
    adaptive: bool = False
    paper: str = ""
    reported: tuple[Reported, ...] = ()
    note: str = ""

    @property
    def remedy(self) -> str:
        """How to come by weights that are not there: a command, or why there is none."""
        return f"rbench train {self.name}" if self.recipe else "no recipe makes its weights; name a file with --weights"


@dataclass(frozen=True)
class Probe:
    """One question: an optional attack on a dataset; `block` samples are committed (and, third-party, run) together.

    `data` is another view of the samples (see `rbench.datasets`): corrupted, or as sequences. `eps` is another radius
    than the suite's; `limit` asks that many samples only, spread over the dataset. The attack is crafted on the models
    named in `surrogates` (their averaged logits), if any, and judged on the model itself.
    """

    __pydantic_config__: ClassVar = STRICT
    name: str
    attack: Call | None = None
    data: Call | None = None
    version: int = 1
    block: int = 100
    eps: str | None = None
    limit: int | None = None
    surrogates: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what in ("block", "limit"):
            if (value := getattr(self, what)) is not None and value < 1:
                raise UsageError(f"{what} = {value} must be at least 1.")
        if self.data is not None and self.attack is not None:
            raise UsageError(f"probe {self.name!r} has both data and an attack; ask one question at a time.")


@dataclass(frozen=True)
class ScoreSpec:
    """One number: a pure function (`use`, with `args`) of the outcomes of some probes (`of`).

    Scores of one `group` are the details of another score: tables put them under a common heading, without intervals.
    """

    __pydantic_config__: ClassVar = STRICT
    name: str
    use: str
    of: tuple[str, ...]
    args: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    group: str = ""
    higher_is_better: bool = True


@dataclass(frozen=True)
class Suite:
    """A set of questions (probes) on one dataset under one threat, and the numbers (scores) that they yield.

    `draws` > 1 admits models that are random: each image is judged by that many draws of the model's own randomness.
    `diagnose` adds the probes and measurements that the findings are made of. Without attacks there is no `threat`. A
    `baseline` that scores compare with is published values (suites/baselines) or a model, run by the same suite.
    """

    __pydantic_config__: ClassVar = STRICT
    name: str
    version: int
    title: str
    dataset: str
    data: Call
    probes: tuple[Probe, ...]
    scores: tuple[ScoreSpec, ...]
    threat: Threat | None = None
    draws: int = 1
    diagnose: bool = False
    baseline: str = ""

    @property
    def digest(self) -> str:
        """The sha256 of everything in the suite that moves the evidence; scores are derived from it afterwards."""
        derived = ("title", "scores", "baseline")
        return digest_of({key: value for key, value in asdict(self).items() if key not in derived})

    @property
    def rules(self) -> Threat:
        """The threat; raises `UsageError` if the suite has none."""
        if self.threat is None:
            raise UsageError(f"suite {self.name!r} has no threat, so no attack and no eps.")
        return self.threat


@dataclass(frozen=True)
class Job:
    """The unit that is run, stored and never run twice: one probe on one model and dataset.

    `surrogates` are the digests of the weights of the probe's surrogates; `draws` are those of the suite.
    """

    model: str
    weights: str
    suite: str
    probe: Probe
    threat: Threat | None
    data: str
    code: str
    seed: int
    surrogates: tuple[str, ...] = ()
    draws: int = 1

    @property
    def key(self) -> str:
        """The sha256 of the job's canonical JSON."""
        return digest_of(asdict(self))


@dataclass(frozen=True)
class Outcomes:
    """The evidence: a row an image. `margin` is z_y - max_{k != y} z_k; `distance` is in the threat's norm.

    `group` is the severity or difficulty of a view, `frame` the place in a sequence. Sequences have two columns more:
    `top`, [n, 5], the classes of the largest logits, and `zipf`, the distance of the ranking of all classes from that
    of the frame that this one is compared with (0 where there is none); `top` is [n, 0] elsewhere.
    """

    sample: IntArray
    group: IntArray
    frame: IntArray
    label: IntArray
    pred: IntArray
    margin: FloatArray
    distance: FloatArray
    forwards: IntArray
    backwards: IntArray
    top: IntArray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))
    zipf: FloatArray = field(default_factory=lambda: np.zeros(0))

    def __len__(self) -> int:
        return len(self.sample)

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether each sample was still classified as its label."""
        return self.pred == self.label


@dataclass(frozen=True)
class Score:
    """One number with its doubt: a value, the 95% interval around it and the count of samples behind it."""

    value: float
    interval: tuple[float, float]
    n: int
    findings: tuple["Finding", ...] = ()


@dataclass(frozen=True)
class Finding:
    """A red flag, kept with the number that it concerns; `level` is info, warn (a dagger) or error (a double one)."""

    code: str
    level: Level
    message: str


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """Unreliable if there is any error, else suspect if there is any warning, else reliable."""
    levels = {finding.level for finding in findings}
    return "unreliable" if "error" in levels else "suspect" if "warn" in levels else "reliable"
