"""A cross-check as a page, from stages made by hand."""

from rbench.agreement import Crosscheck, Stage
from rbench.report.crosscheck import crosscheck_page
from rbench.types import Call

CALLS = {
    name: (Call(f"rbench.attacks.{name.lower()}:{name.lower()}", {"steps": 5}), Call(f"torchattacks:{name}"))
    for name in ("FGSM", "PGD", "CW")
}


def stage(attack, change="same arguments", **counts):
    return Stage(attack, change, CALLS[attack], n=10, **counts)


def page(*stages):
    return crosscheck_page(
        Crosscheck("net, digits, linf eps = 1/4", 12, 7, "rbench check ...", {"torch": "2.9"}, stages)
    )


def row(text, start):
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_rows_count_and_disagreements_are_explained_by_the_change_that_ends_them():
    text = page(
        stage("PGD", both=(1, 2), native_only=(3, 4), theirs_only=(8,)),
        stage("PGD", "without random starts", both=(1, 2), native_only=(4,), theirs_only=(8,)),
        stage("PGD", "and theirs returns its best image", both=(1, 2, 4), theirs_only=(8, 9)),
    )
    assert row(text, "| PGD") == ["PGD", "same arguments", "7 of 10", "2", "2", "1", "0", "-", "-"]
    assert row(text, "|          | and")[2:6] == ["8 of 10", "3", "0", "2"]
    assert (
        "- **PGD**: only the native attack fools 3, 4; only torchattacks fools 8. Without random starts: 3 no more. "
        "Theirs returns its best image: 4 no more. Not explained: 8. New at the end: 9."
    ) in text
    assert "the first 12 images, of which the model gets 10 right" in text
    assert "Seed 7; torch 2.9. Made by `rbench check ...`" in text
    assert "- *last-iterate* (PGD; `attacks/pgd.py`)" in text
    assert "*no-search*" not in text


def test_a_disagreement_that_comes_back_is_not_explained_by_the_change_that_hid_it():
    hidden = stage("PGD", "without random starts", both=(3,))
    text = page(stage("PGD", native_only=(3,)), hidden, stage("PGD", "and more", native_only=(3,)))
    assert "Without random starts: nothing changes for them. More: nothing changes for them. Not explained: 3." in text


def test_agreement_distances_and_refusals():
    text = page(
        stage("FGSM", both=(1,)),
        stage("CW", both=(1,), distances=(0.25, 1 / 3)),
        Stage("PGD", "same arguments", CALLS["PGD"], refused="[RB102] attack 'x' left the ball."),
    )
    assert "- **FGSM**: the same images fall." in text
    assert row(text, "| CW")[-2:] == ["0.2500", "0.3333"]
    assert "- **CW**: the same images fall. Mean distances, theirs less native, line by line: +0.0833." in text
    assert row(text, "| PGD")[2:7] == ["-", "-", "-", "-", "not counted"]
    assert "- **PGD**: not counted, since a side broke off: [RB102] attack 'x' left the ball." in text
    assert "- **CW**: `rbench.attacks.cw:cw` (steps = 5) and `torchattacks:CW` (no arguments)" in text
