"""A study as text: errors of every arm, and the differences that the study asks for, with intervals."""

from collections.abc import Sequence

from tabulate import tabulate

from rbench.comparison import Comparison, Difference
from rbench.statistics.intervals import Interval
from rbench.trials import Arm, Measure

LEGEND = (
    "Errors in %, lower is better, with 95% intervals over training seeds and images together, as two crossed random "
    "effects. Differences are paired, seed by seed and image by image. Each verdict is of its own 95% interval: of "
    "many, some err. A study runs no diagnostics: an error under attack is what these attacks find, at least."
)
COST = (
    "`cost` is the time of a training in multiples of that of the arm it is compared with: the median epoch, and what "
    "the controller took. On one thread of a CPU only what was computed counts; elsewhere it is rough where trainings "
    "share a machine."
)

ENDED = (
    "`epochs to converge` is the mean over the trainings that came to be as good as the model that the recipe names, "
    "which then ended; behind it how many did."
)


def report(found: Comparison, protocol: str, figures: Sequence[str]) -> str:
    """The study as Markdown, with links to its figures beside it."""
    study = found.study
    command = f"`rbench study {study.name}` makes this page, its figures and data, from trainings and evaluations."
    told = {LEGEND: True, COST: bool(study.sweeps), ENDED: found.ended}
    legend = " ".join(text for text, wanted in told.items() if wanted)
    parts = [f"# {study.title}", protocol, legend, *study.notes, command, _arms(found), _differences(found)]
    parts += [f"![{name.partition('.')[0]}]({name})" for name in figures if name.endswith(".png")]
    return "\n\n".join(parts) + "\n"


def _arms(found: Comparison) -> str:
    measures = found.study.measures
    more: dict[str, list[str]] = {}
    if found.study.sweeps:
        more["cost"] = [f"{found.cost(arm):.2f}" for arm in found.study.every]
    if found.ended:
        more["epochs to converge"] = [_epochs(found, arm) for arm in found.study.every]
    head = ["arm", *(measure.label for measure in measures), f"{found.study.shown.label} by seed", *more]
    rows = [
        [
            arm.label,
            *(_error(found, arm, m) for m in measures),
            _spread(found, arm),
            *(each[place] for each in more.values()),
        ]
        for place, arm in enumerate(found.study.every)
    ]
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)


def _epochs(found: Comparison, arm: Arm) -> str:
    """The mean epochs of trainings that converged, and how many of all did."""
    count, mean = found.converged(arm.name)
    return f"{'-' if mean is None else f'{mean:.1f}'} ({count} of {len(found.study.seeds)})"


def _differences(found: Comparison) -> str:
    titles = {arm.name: arm.label for arm in found.study.every}
    names = {measure.name: measure.label for measure in found.study.measures}
    head = ["difference", "measure", "points of error", "95% interval", "seeds ahead", "verdict"]
    rows = [
        [f"{titles[d.arm]} - {titles[d.against]}", names[d.measure], f"{100 * d.value:+.2f}", _signed(d.interval),
         f"{d.ahead} of {len(found.study.seeds)}", _verdict(d)]
        for d in found.differences
    ]  # fmt: skip
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)


def _verdict(difference: Difference) -> str:
    return difference.verdict if difference.verdict == "undecided" else f"**{difference.verdict}**"


def _error(found: Comparison, arm: Arm, measure: Measure) -> str:
    value, (low, high) = found.error(arm.name, measure.name)
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _spread(found: Comparison, arm: Arm) -> str:
    """The first measure's error from each seed."""
    return " ".join(f"{100 * value:.1f}" for value in found.errors(arm.name, found.study.first).mean(1))


def _signed(interval: Interval) -> str:
    return f"[{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]"
