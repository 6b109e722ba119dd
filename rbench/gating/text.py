"""The outcome of a gate for people and machines: text, Markdown for a pull request, JSON and JUnit's XML."""

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

from tabulate import tabulate

from rbench.gating.judging import Gated, Verdict
from rbench.gating.snapshot import Snapshot

HEAD = ["score", "verdict", "by", "drop", "interval", "may drop", "lost + won", "images", "could pass"]
SIGNS = {"PASS": "✅", "FAIL": "❌", "INCONCLUSIVE": "⚠️"}


def text(found: Gated) -> str:
    """What a terminal shows: the outcome first, then the evidence for it."""
    grid = tabulate([_row(each) for each in found.verdicts], HEAD, tablefmt="simple", disable_numparse=True)
    return "\n\n".join([f"{found.outcome}: {_subject(found)}", grid, *_remarks(found)]) + "\n"


def markdown(found: Gated) -> str:
    """The same as a summary of a pull request."""
    grid = tabulate([_row(each) for each in found.verdicts], HEAD, tablefmt="github", disable_numparse=True)
    title = f"## {SIGNS[found.outcome]} {found.outcome}: robustness of `{found.model}`"
    return "\n\n".join([title, _subject(found), grid, *(f"- {line}" for line in _remarks(found))]) + "\n"


def data(found: Gated) -> dict[str, Any]:
    """The same for machines; drops are shares."""
    scores: Mapping[str, Any] = {
        each.score.name: {
            "outcome": each.outcome, "drop": each.drop, "low": each.interval[0], "high": each.interval[1],
            "delta": each.score.delta, "images": each.images, "more": each.more,
            "lost": each.table.first if each.table else None, "won": each.table.second if each.table else None,
            "least": each.least, "by": each.by, "verified": each.asked, "left": each.left,
        }
        for each in found.verdicts
    }  # fmt: skip
    return {
        "gate": found.gate.name, "outcome": found.outcome, "exit_code": found.exit_code, "model": found.model,
        "images": found.images, "items": found.items, "passes": found.passes, "alpha": found.gate.alpha,
        "branch": found.branch, "undecided": found.undecided, "reason": found.reason, "notes": list(found.notes),
        "scores": scores,
    }  # fmt: skip


def junit(found: Gated) -> str:
    """JUnit's XML, a test a score; undecided ones are errors, or skipped where that only warns or another failed."""
    suite = ET.Element("testsuite", name=f"rbench gate {found.gate.name}", tests=str(len(found.verdicts)))
    kinds = [_kind(found, each) for each in found.verdicts]
    counts = {"failures": kinds.count("failure"), "errors": kinds.count("error"), "skipped": kinds.count("skipped")}
    suite.attrib |= {key: str(count) for key, count in counts.items()}
    for each, kind in zip(found.verdicts, kinds, strict=True):
        case = ET.SubElement(suite, "testcase", classname=f"rbench.{found.gate.name}", name=each.score.name)
        if kind:
            ET.SubElement(case, kind, message=_sentence(found, each)).text = text(found)
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _kind(found: Gated, each: Verdict) -> str:
    """What JUnit calls the outcome of a score; "" for a PASS."""
    if each.outcome == "INCONCLUSIVE":
        return "skipped" if found.warns or found.outcome == "FAIL" else "error"
    return "failure" if each.outcome == "FAIL" else ""


def _row(each: Verdict) -> list[str]:
    low, high = (100 * end for end in each.interval)
    turned = f"{each.table.first} + {each.table.second}" if each.table else "-"
    drop = f"{100 * each.drop:+.1f}" if each.drop is not None else "-"
    cells = [drop, f"[{low:+.1f}, {high:+.1f}]", f"{100 * each.score.delta:.1f}", turned]
    least = f"{100 * each.least:.1f}" if each.by not in ("one pass an image", "proof") else "-"
    return [each.score.name, each.outcome, each.by or "-", *cells, str(each.images), least]


def _sentence(found: Gated, each: Verdict) -> str:
    """What happened to a score."""
    low, high = (100 * end for end in each.interval)
    if each.outcome == "INCONCLUSIVE" and found.outcome == "FAIL":
        return f"{each.score.name} was not decided: the gate had failed."
    if found.reason and each.outcome == "INCONCLUSIVE":
        return found.reason
    drop = (
        f"{100 * each.drop:.1f} points [{low:.1f}, {high:.1f}]"
        if each.drop is not None
        else f"{low:.1f} points or more"
    )
    return f"{each.score.name} dropped by {drop}, on {each.images} images; it may drop by {100 * each.score.delta:.1f}."


def _subject(found: Gated) -> str:
    return (
        f"{found.model} against the baseline of {found.gate.name}, {found.gate.suite}, seed {found.gate.seed}: "
        f"{found.images} of {found.items} images attacked, {found.passes:,} passes by attacks"
    )


def _remarks(found: Gated) -> list[str]:
    """What the numbers mean, what went wrong, and what would decide."""
    alpha = f"{100 * found.gate.alpha:g}%"
    meaning = (
        f"Drops in points of these {found.items} images, with intervals that hold whenever one looks; a wrong PASS, a "
        f"wrong FAIL and either end of an interval have a probability of {alpha} at most, and none by one pass an "
        "image or by a proof. Images: whose outcome is known. Could pass: the least that a score may drop by if so "
        "many images are to show it, and none turns."
    )
    lines = [meaning, *(_verified(each) for each in found.verdicts if each.left is not None)]
    if found.reason:
        lines.append(f"{'Besides' if found.outcome == 'FAIL' else 'No verdict'}: {found.reason}")
    elif found.outcome == "INCONCLUSIVE":
        lines += [_more(each, found.items) for each in found.verdicts if each.outcome == "INCONCLUSIVE"]
    if found.outcome == "INCONCLUSIVE" and not found.reason:
        what = "it only warns" if found.warns else "it fails"
        lines.append(f"On branch {found.branch!r} the policy for an undecided gate is: {what}.")
    return [*lines, *(f"Note: {note}" for note in found.notes)]


def _more(each: Verdict, items: int) -> str:
    """What would decide a score."""
    name, delta = each.score.name, f"a drop of at most {100 * each.score.delta:g} points"
    if each.full and each.left is None:
        return f"{name}: all {items} images have to be attacked, and {each.full} verifies some of them."
    what = f"{each.full} on {{}} more of the {each.left} images" if each.full else "{} more images"
    if each.more is None:
        return f"{name}: no number of images would show {delta}, even if none of them turned."
    return f"{name}: {what.format(each.more)} would show {delta}, if none of them turned."


def _verified(each: Verdict) -> str:
    return f"{each.score.name}: {each.full} was run on {each.asked} of the {each.left} images that others leave."


def changes(before: Snapshot | None, now: Snapshot) -> str:
    """What a new baseline changes, line by line; scores in %."""
    old = before.pinned if before is not None else {}
    keys = ("suite", "data", "seed", "samples", "code", "model", "weights")
    changed = [key for key in keys if old.get(key) != now.pinned[key]]
    lines = [f"{key}: {_short(old.get(key))} -> {_short(now.pinned[key])}" for key in changed]
    for name, score in now.pinned["scores"].items():
        was = old.get("scores", {}).get(name)
        shown = f"{100 * score['value']:.1f}"
        lines.append(f"{name}: {100 * was['value']:.1f} -> {shown}" if was else f"{name}: {shown}")
    return "\n".join(lines)


def _short(value: Any) -> str:
    return "nothing" if value is None else str(value)[:40]
