"""The plan of one evaluation as text: its jobs with their passes, and the hours and the memory once they are timed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rbench.cli._app import print_rows, tabled
from rbench.errors import UsageError
from rbench.progress import lasting

if TYPE_CHECKING:
    from rbench.costs.forecast import Forecast, Pair
    from rbench.planning import TimedPlan

HEADS = {
    "probe": "probe",
    "attack": "attack",
    "done": "done",
    "left": "left",
    "blocks": "blocks",
    "forwards_each": "forwards",
    "backwards_each": "backwards",
    "judging_each": "judging",
    "bound": "bound",
    "forwards": "all forwards",
    "backwards": "all backwards",
}
LEGEND = """\
forwards, backwards: passes of the attack on a sample, as the evidence counts them; judging: forwards besides.
standing: what a sample that withstands takes; one that falls, or that was wrong from the start, takes less."""
BUSY = 0.5  # the load of a machine on which something else runs
UNTIMED = "For the hours and the memory, add --time: it loads model and data, and times two batches."


def print_one(options: Mapping[str, Any], means: Mapping[str, Any], *, time: bool, as_json: bool) -> None:
    """The plan of one evaluation; with `time`, by `means`, its hours and memory, too."""
    from rbench.planning import plan, timed_plan

    if not time:
        for name, value in means.items():
            if value is not None:
                raise UsageError(f"--{name} goes with --time, which runs something; a plan on paper needs none.")
        rows = plan(**options)
        print_rows(rows, as_json, lambda: f"{table(rows)}\n{UNTIMED}")
        return
    found = timed_plan(**options, **means)
    told = {**asdict(found), "seconds": found.seconds, "exact": found.exact} if as_json else {}
    print_rows(_named(told), as_json, lambda: "\n".join([table(found.jobs), *lines(found)]))


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The jobs, their sums, and what the words mean."""
    shown = [{head: row.get(key, 0) for key, head in HEADS.items()} for row in rows if row["probe"] != "-"]
    for line in shown:
        line["attack"] = _short(str(line["attack"]))
    text = tabled([*shown, _sums(rows)], intfmt=",", missingval="?")
    return "\n".join([text, *(str(row["attack"]) for row in rows if row["probe"] == "-"), LEGEND])


def _short(use: str) -> str:
    """A native attack or view by its name alone."""
    return use.rpartition(":")[2] if use.startswith("rbench.") else use


def _sums(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The last row: sums, of what is known, and the weakest bound of all that is left."""
    counted = ("done", "left", "blocks", "forwards", "backwards")
    sums = {key: sum(row.get(key) or 0 for row in rows) for key in counted}
    left = [row["bound"] for row in rows if row["left"]]
    bound = "exact" if all(each == "exact" for each in left) else "at most"
    unknown = left.count("not known")
    line: dict[str, Any] = {head: sums.get(key, "") for key, head in HEADS.items()}
    return {**line, "probe": "sum", "bound": f"{bound}, but for {unknown} not known" if unknown else bound}


def lines(plan: "TimedPlan") -> Iterator[str]:
    """What the batches took, and what follows for all that is left."""
    for each in plan.forecasts:
        yield from _batches(each)
    if not plan.forecasts:
        yield "nothing is left to run."
        return
    low, high = plan.seconds
    told = "" if plan.exact else "at most "
    share = "by one worker" if plan.speed == 1 else f"by {plan.speed} workers that never wait"
    idle = f" ({plan.workers} share {plan.speed} cores)" if plan.workers > plan.speed > 1 else ""
    yield f"left: {told}{lasting(low)} to {lasting(high)} {share}{idle}, by the quicker and the slower batch."
    if plan.load > BUSY:
        yield f"The machine was busy (load {plan.load:.1f} in the minute before): whoever shares it takes longer."
    yield "Not in it: what attacks compute besides passes, the measurement of a diagnosis, the start, and waiting."
    if unknown := [f"{each.model}: {name}" for each in plan.forecasts for name in each.unknown]:
        yield f"Not in it, since nobody says how many passes they take: {', '.join(unknown)}."


def _batches(each: "Forecast") -> Iterator[str]:
    found = each.timed
    yield f"{each.model} on {found.device}, two batches of {found.batch}, ms an image:"
    yield f"  forward, model as given     {_ms(found.judging)}"
    for team, seconds in found.forwards.items():
        who = "+".join(team) or "as attacks see it"
        yield f"  forward, {who:<18} {_ms(seconds)}"
        if team in found.gradients:
            yield f"  and backward                {_ms(found.gradients[team])}"
    slowest = max(found.making, key=lambda name: max(found.making[name]))
    yield f"  images of a sample, at most {_ms(found.making[slowest])}  ({slowest})"
    if found.memory:
        held = "the allocator's peak" if found.device.startswith("cuda") else "weights, images and what autograd saves"
        yield f"  memory of a gradient: {found.memory / 2**20:,.1f} MiB ({held}) for each worker"


def _ms(seconds: "Pair") -> str:
    return " and ".join(f"{1e3 * each:.3g}" for each in seconds)


def _named(told: dict[str, Any]) -> dict[str, Any]:
    """The same with teams of surrogates as words, since keys of JSON are words."""
    for each in told.get("forecasts", ()):
        for key in ("forwards", "gradients"):
            each["timed"][key] = {"+".join(team): seconds for team, seconds in each["timed"][key].items()}
    return told
