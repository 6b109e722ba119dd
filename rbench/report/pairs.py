"""Two runs compared, as text: errors, their paired difference, McNemar's test and the images that make it."""

from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from rbench.pairing import Difference, Side

MOST = 20  # discordant images a side that are listed


def pairs(sides: tuple[Side, Side], found: Sequence[Difference], protocol: str) -> str:
    """A table of errors in % and paired differences in points, and the images on which the sides differ."""
    one, two = (side.name for side in sides)
    if one == two:
        one, two = f"A = {one}", f"B = {two}"
    head = ["error", one, two, "difference", "95% interval", "McNemar p", "n", "least drop"]
    grid = tabulate([_row(each) for each in found], head, tablefmt="simple", disable_numparse=True)
    title = f"Errors in %; differences in points, {one} less {two}: above 0, {two} is better."
    note = "Least drop: what a one-sided test of so many images would find 8 times in 10, at 5%."
    doubts = [f"{side.name} is {side.verdict}." for side in sides if side.verdict not in ("", "reliable")]
    lists = "\n".join(line for each in found for line in _images(each, one, two))
    return "\n\n".join(filter(None, [f"{title}\n{protocol}", grid, note, lists, "\n".join(doubts)])) + "\n"


def _row(each: Difference) -> list[str]:
    low, high = (100 * end for end in each.interval)
    p = "-" if each.table is None else f"{each.table.p_value:.3g}"
    least = "-" if each.table is None else f"{100 * each.table.least_drop:.2f}"
    shares = [f"{100 * value:.1f}" for value in (each.first, each.second)]
    return [each.score, *shares, f"{100 * each.value:+.2f}", f"[{low:+.2f}, {high:+.2f}]", p, str(each.n), least]


def _images(each: Difference, one: str, two: str) -> list[str]:
    if each.table is None:
        return []
    sides = zip((one, two), each.discordant, strict=True)
    return [f"{each.score}, right only by {name} ({len(images)}): {_listed(images)}" for name, images in sides]


def _listed(images: Sequence[int]) -> str:
    more = f", and {len(images) - MOST} more (--json has all)" if len(images) > MOST else ""
    return (", ".join(map(str, images[:MOST])) or "none") + more


def rows(found: Sequence[Difference]) -> list[dict[str, Any]]:
    """The same for machines: errors and differences as shares, all discordant images by number."""
    return [
        {
            "score": each.score, "first": each.first, "second": each.second, "difference": each.value,
            "low": each.interval.low, "high": each.interval.high, "n": each.n,
            "mcnemar_p": each.table.p_value if each.table is not None else None,
            "least_drop": each.table.least_drop if each.table is not None else None,
            "first_only": list(each.discordant[0]), "second_only": list(each.discordant[1]),
        }
        for each in found
    ]  # fmt: skip
