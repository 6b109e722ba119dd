"""The nouns of studies: methods (arms) that are trained from several seeds and compared on the same images."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from rbench.errors import UsageError, unknown
from rbench.types import STRICT

FEWEST = 3  # seeds: over two of them an interval of 95% holds the truth in less than nine cases of ten


@dataclass(frozen=True)
class Arm:
    """One method: a model of the catalog, trained by its recipe with a `preset` or `override` of the recipe's keys.

    It is compared with the arms that it stands `against`.
    """

    __pydantic_config__: ClassVar = STRICT
    name: str
    model: str
    title: str = ""
    against: tuple[str, ...] = ()
    preset: str | None = None
    override: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What tables call it."""
        return self.title or self.name


@dataclass(frozen=True)
class Sweep:
    """One key of a model's recipe at several values, each of them an arm that stands `against` another one."""

    __pydantic_config__: ClassVar = STRICT
    name: str
    model: str
    key: str
    values: tuple[Any, ...]
    against: str
    title: str = ""

    @property
    def arms(self) -> tuple[Arm, ...]:
        """An arm for each value."""
        return tuple(
            Arm(f"{self.name}={value}", self.model, f"{self.title or self.key} = {value}", (self.against,), None,
                {self.key: value})
            for value in self.values
        )  # fmt: skip


@dataclass(frozen=True)
class Measure:
    """An error of an image: over all rows of some probes of the suite their `mean`, or whether `any` is wrong."""

    __pydantic_config__: ClassVar = STRICT
    name: str
    of: tuple[str, ...]
    title: str = ""
    how: Literal["mean", "any"] = "mean"

    @property
    def label(self) -> str:
        """What tables call it."""
        return self.title or self.name


@dataclass(frozen=True)
class Study:
    """Arms, each trained from every one of the `seeds`, and the measures of a suite by which they are compared.

    `first` is the measure that figures show, `notes` are what the page tells besides.
    """

    __pydantic_config__: ClassVar = STRICT
    name: str
    title: str
    suite: str
    seeds: tuple[int, ...]
    measures: tuple[Measure, ...]
    first: str
    arms: tuple[Arm, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.seeds)) < max(len(self.seeds), FEWEST):
            raise UsageError(
                f"study {self.name!r}: seeds = {list(self.seeds)} must be {FEWEST} or more different ones."
            )
        names = [arm.name for arm in self.every]
        if twice := {name for name in names if names.count(name) > 1}:
            raise UsageError(f"study {self.name!r} has two arms named {min(twice)!r}.")
        for arm in self.every:
            for other in arm.against:
                if other not in names or other == arm.name:
                    raise unknown("other arm", other, names, f"study {self.name!r}: arm {arm.name!r}")
        if self.first not in {measure.name for measure in self.measures}:
            raise unknown("measure", self.first, [m.name for m in self.measures], f"study {self.name!r}: first")

    @property
    def shown(self) -> Measure:
        """The measure that figures show."""
        return next(measure for measure in self.measures if measure.name == self.first)

    @property
    def every(self) -> tuple[Arm, ...]:
        """The arms, those of the sweeps too."""
        return (*self.arms, *(arm for sweep in self.sweeps for arm in sweep.arms))

    @property
    def probes(self) -> tuple[str, ...]:
        """The probes of the suite that the measures need."""
        return tuple(dict.fromkeys(name for measure in self.measures for name in measure.of))

    def only(self, count: int) -> "Study":
        """The same with the first so many seeds."""
        return replace(self, seeds=self.seeds[:count])
