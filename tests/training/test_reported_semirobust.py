"""The numbers that semirobust networks and their parents report, against the published tables."""

import csv

import pytest

from rbench.catalog import Catalog

CATALOG = Catalog.find()
with (CATALOG.roots[0] / "reports" / "published" / "semirobust.csv").open(newline="") as file:
    ROWS = list(csv.DictReader(file))
CARDS = [name for name in CATALOG.files("models") if name.startswith("semi") and not name.endswith("-digits")]
METRICS = {"semi-normal": "acc_nonrobust", "semi-robust": "acc_star", "semirobust4": "acc_tilde", "semirobust12": "acc_tilde"}  # fmt: skip # noqa: E501


def printed(name):
    """Score -> the numbers that tables 1 and 3 print of it; parents are printed once for each split."""
    kind, net, dataset = name.rsplit("-", 2)
    model = {"wrn34": "wrn34_10"}.get(net, net)
    variants = {f"fb_layers={kind.removeprefix('semirobust')}"} if kind.startswith("semirobust") else {"fb_layers=4", "fb_layers=12"}  # fmt: skip # noqa: E501
    own = (dataset, model, METRICS[kind])
    found = {}
    for row in ROWS:
        if (row["dataset"], row["model"], row["metric"]) == own and row["variant"] in variants:
            found.setdefault(row["threat"].rpartition(":")[2], set()).add(float(row["value"]))
    return found


@pytest.mark.parametrize("name", CARDS)
def test_cards_report_every_printed_number_and_no_other(name):
    card = CATALOG.model(name)
    assert {entry.score: {entry.value} for entry in card.reported} == printed(name)
    suite = CATALOG.suite(f"{card.dataset}-semirobust")
    assert {entry.suite for entry in card.reported} == {suite.name}
    assert {entry.score for entry in card.reported} <= {score.name for score in suite.scores}
    for entry in card.reported:
        assert ("table 1" if entry.score == "aa" else "table 3") in entry.source


def test_every_printed_network_has_a_card():
    rows = {(row["dataset"], row["model"].removesuffix("_10")) for row in ROWS}
    kinds = METRICS
    assert {f"{kind}-{model}-{data}" for data, model in rows for kind in kinds} == set(CARDS)


@pytest.mark.parametrize("name", [name for name in CARDS if "normal" not in name])
def test_an_autoattack_above_pgd_is_told(name):
    card = CATALOG.model(name)
    values = {entry.score: entry.value for entry in card.reported}
    assert ("a correct AutoAttack of the same network cannot give" in card.note) == (values["aa"] > values["pgd10"])
    assert "judge by a run of the suite" in card.note


def test_what_table_2_attacked_by_transfer_is_told():
    assert "attacked by transfer" in CATALOG.model("semi-robust-resnet18-cifar10").note
