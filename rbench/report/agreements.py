"""Cross-checks to text: for each probe both numbers, how far they agree, and on which samples they do not."""

from collections.abc import Sequence

from tabulate import tabulate

from rbench.agreement import Agreement
from rbench.report.cells import interval, percent


def agreements(rows: Sequence[Agreement], backend: str) -> str:
    """A table of robust accuracies in % with Wilson's 95% intervals, and the samples that only one side fooled."""
    head = ["probe", "n", "native", backend, "difference", "agreement"]
    body = [
        [
            row.probe,
            str(row.native.n),
            f"{percent(row.native.value)} {interval(row.native)}",
            f"{percent(row.theirs.value)} {interval(row.theirs)}",
            f"{100 * (row.native.value - row.theirs.value):+.1f}",
            f"{percent(row.share)}%",
        ]
        for row in rows
    ]
    grid = tabulate(body, head, tablefmt="simple", disable_numparse=True)
    title = "Robust accuracy in %, with Wilson's 95% interval in brackets; difference in points, native less the other."
    return "\n\n".join([title, grid, "\n".join(_discordant(row, backend) for row in rows)]) + "\n"


def _discordant(row: Agreement, backend: str) -> str:
    if not (row.native_only or row.theirs_only):
        return f"{row.probe}: the same samples fall."
    sides = [f"fooled only by {who}: {_listed(which)}" for who, which in _sides(row, backend)]
    return f"{row.probe}: {'; '.join(sides)}."


def _sides(row: Agreement, backend: str) -> list[tuple[str, tuple[int, ...]]]:
    return [("the native attack", row.native_only), (backend, row.theirs_only)]


def _listed(samples: Sequence[int]) -> str:
    return ", ".join(map(str, samples)) if samples else "none"
