"""A cross-check as a page in Markdown: what was matched, who fooled what, and what explains each disagreement."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from tabulate import tabulate

from rbench.adapters import defects
from rbench.agreement import Crosscheck, Stage
from rbench.types import Call

HEAD = ("attack", "", "agree", "both fool", "only native", "only torchattacks", "invalid", "mean L2: native", "theirs")


def crosscheck_page(found: Crosscheck) -> str:
    """The page: caption, table, explanations, matched arguments and the known defects of these attacks."""
    groups = [list(group) for _, group in groupby(found.stages, key=lambda stage: stage.attack)]
    right = max((stage.n for stage in found.stages), default=0)
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    caption = (
        f"{found.where}; the first {found.n} images, of which the model gets {right} right: these are attacked and "
        f"counted. Seed {found.seed}; {versions}. Made by `{found.command}`. Every image was judged by the referee; "
        "`invalid` counts those that it refused. A second line of an attack takes one cause of disagreement away and "
        "keeps those before it. Distances are means over the images that both fool."
    )
    rows = [_row(stage, first=stage is group[0]) for group in groups for stage in group]
    parts = [
        "# Native attacks and torchattacks'",
        caption,
        tabulate(rows, HEAD, tablefmt="github", disable_numparse=True),
        "## Why they disagree",
        "\n".join(f"- {_explained(group)}" for group in groups),
        "## What was matched",
        "\n".join(
            f"- **{group[0].attack}**: {_call(group[0].calls[0])} and {_call(group[0].calls[1])}" for group in groups
        ),
        f"## Known defects of these attacks, read in torchattacks {defects.VERSION}",
        "\n".join(_known(found.stages)),
    ]
    return "\n\n".join(parts) + "\n"


def _row(stage: Stage, *, first: bool) -> list[str]:
    name = [stage.attack if first else "", stage.change]
    if stage.refused:
        return [*name, "-", "-", "-", "-", "not counted", "-", "-"]
    apart = len(stage.native_only) + len(stage.theirs_only)
    counts = (f"{stage.n - apart} of {stage.n}", len(stage.both), len(stage.native_only), len(stage.theirs_only), 0)
    far = [f"{mean:.4f}" for mean in stage.distances] if stage.distances else ["-", "-"]
    return [*name, *map(str, counts), *far]


def _explained(group: Sequence[Stage]) -> str:
    """For each sample that only one side fooled, the change after which both agree about it for good."""
    first, *later = group
    if first.refused or any(stage.refused for stage in later):
        return f"**{first.attack}**: not counted, since a side broke off: {next(s.refused for s in group if s.refused)}"
    open_now = _apart(first)
    if not open_now:
        return f"**{first.attack}**: the same images fall.{_new(first, later)}{_far(group)}"
    said = [f"**{first.attack}**: {_sides(first)}."]
    for index, stage in enumerate(later):
        settled = open_now.difference(*map(_apart, later[index:]))
        open_now = open_now - settled
        what = f"{_listed(settled)} no more" if settled else "nothing changes for them"
        said.append(f"{stage.change.removeprefix('and ').capitalize()}: {what}.")
    said.append(f"Not explained: {_listed(open_now)}." if open_now else "Nothing is left unexplained.")
    return " ".join(said) + _new(first, later) + _far(group)


def _new(first: Stage, later: Sequence[Stage]) -> str:
    """What disagrees at the end and did not at the beginning, said lest it be overlooked."""
    new = _apart(later[-1]) - _apart(first) if later else frozenset()
    return f" New at the end: {_listed(new)}." if new else ""


def _far(group: Sequence[Stage]) -> str:
    """How far the mean distances of the two sides are apart, at the beginning and after every change."""
    gaps = [f"{stage.distances[1] - stage.distances[0]:+.4f}" for stage in group if stage.distances]
    return f" Mean distances, theirs less native, line by line: {', '.join(gaps)}." if gaps else ""


def _apart(stage: Stage) -> frozenset[int]:
    return frozenset((*stage.native_only, *stage.theirs_only))


def _sides(stage: Stage) -> str:
    sides = (("the native attack", stage.native_only), ("torchattacks", stage.theirs_only))
    return "; ".join(f"only {who} fools {_listed(which)}" for who, which in sides if which)


def _listed(samples: Sequence[int] | frozenset[int]) -> str:
    return ", ".join(map(str, sorted(samples)))


def _call(call: Call) -> str:
    args = ", ".join(f"{key} = {value!r}" for key, value in call.args.items())
    return f"`{call.use}` ({args or 'no arguments'})"


def _known(stages: Sequence[Stage]) -> Iterator[str]:
    names = {stage.calls[1].use.partition(":")[2] for stage in stages}
    for defect in defects.DEFECTS:
        whose = [name for name in defect.attacks if name in names]
        if whose:
            yield f"- *{defect.name}* ({', '.join(whose)}; `{defect.file}`): {defect.what}"
