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


def test_the_data_flag_an_autoattack_above_pgd_of_the_same_network():
    """(f_a*, f_b*) and (f_a*, f_b) are the same networks under both attacks; (f_a*, f_b~) are different trials."""
    keys = ("dataset", "model", "variant", "metric")
    by = {(row["table"], *(row[key] for key in keys)): row for row in ROWS if row["metric"] in ("acc_star", "acc_sr") and row["threat"].rpartition(":")[2] in ("aa", "pgd10")}  # fmt: skip # noqa: E501
    pairs = [(row, by[("Table 3", *key[1:])]) for key, row in by.items() if key[0] == "Table 1"]
    assert len(pairs) == 2 * 8
    above = [row for row, other in pairs if float(row["value"]) > float(other["value"])]
    flag = "which a correct AutoAttack of the same network cannot give"
    assert [row for row in ROWS if flag in row["note"]] == above
    assert {row["model"] for row in above} == {"resnet18"}
    assert len(above) == 6


@pytest.mark.parametrize("name", ["digits-semirobust", "cifar10-semirobust", "cifar100-semirobust"])
def test_suites_attack_as_published(name):
    """FGSM, PGD of 10 steps of 2/255 at eps = 8/255 from a random start, and the standard AutoAttack."""
    probes = {probe.name: probe.attack for probe in CATALOG.suite(name).probes}
    assert list(probes) == ["clean", "fgsm", "pgd10", "aa"]
    assert probes["pgd10"].args == {"steps": 10, "rel_step": "1/4"}
    assert probes["aa"].args == {"version": "standard"}
