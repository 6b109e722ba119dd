"""Hours from passes and timed batches; pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rbench.costs.paper import Cost
from rbench.types import Probe

Pair = tuple[float, float]  # seconds by each of two timed batches
Team = tuple[str, ...]  # the surrogates of a probe, none for the model itself


@dataclass(frozen=True)
class Timed:
    """What two batches took, in seconds an image each, and the bytes that a gradient of a batch takes.

    `judging` is a forward of the model as given; `forwards` and `gradients` (forward and backward) are those of its
    twin, or a pass of each team of surrogates; `making` is what the images of a sample take, by probe.
    """

    batch: int
    device: str
    judging: Pair
    forwards: Mapping[Team, Pair]
    gradients: Mapping[Team, Pair]
    making: Mapping[str, Pair]
    memory: int


@dataclass(frozen=True)
class Left:
    """What is left to run of a probe: so many samples, each at a cost."""

    probe: Probe
    cost: Cost
    samples: int


@dataclass(frozen=True)
class Forecast:
    """What is left of one model's evaluation, timed: `seconds` of one worker, and whether these are a bound.

    `unknown` are the probes whose passes nobody knows; they are not part of the seconds.
    """

    model: str
    timed: Timed
    seconds: Pair
    exact: bool
    unknown: tuple[str, ...]


def forecast(model: str, left: Iterable[Left], found: Timed) -> Forecast:
    """The seconds that one worker takes for what is left, by the first and by the second of the batches.

    A backward is what a gradient takes more than a forward. The arithmetic of attacks besides their passes is not in
    it, nor is the start of processes.
    """
    left = [each for each in left if each.samples]
    known = [each for each in left if each.cost.attack is not None]
    one, other = (sum(each.samples * _seconds(each, found, index) for each in known) for index in (0, 1))
    unknown = tuple(each.probe.name for each in left if each.cost.attack is None)
    return Forecast(model, found, (one, other), all(each.cost.bound == "exact" for each in left), unknown)


def _seconds(left: Left, found: Timed, index: int) -> float:
    """The seconds of one sample by one of the batches."""
    cost, team = left.cost, left.probe.surrogates
    seconds = found.making[left.probe.name][index] + cost.judging * found.judging[index]
    if cost.attack is None or not cost.attacked:
        return seconds
    forward = found.forwards[team][index]
    backward = max(found.gradients[team][index] - forward, 0.0) if cost.attack.backwards else 0.0
    return seconds + cost.attack.forwards * forward + cost.attack.backwards * backward
