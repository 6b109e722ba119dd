"""The numbers that cards report, against the table of published ones that was read off the paper and its poster."""

import csv
import re

import pytest
from cards import CARDS as ALL
from cards import CATALOG

PUBLISHED = CATALOG.roots[0] / "reports" / "published" / "ews.csv"
ARCHS = {"prn18": "preact_resnet18", "wrn28": "wrn28_10", "wrn34": "wrn34_10"}
THREATS = {"clean": "clean", "pgd20": "linf-8/255:pgd20", "aa": "linf-8/255:aa"}
with PUBLISHED.open(newline="") as file:
    ROWS = list(csv.DictReader(file))
CARDS = {name: card for name, card in ALL.items() if "Stutz" in card.paper and card.reported}


def published(dataset, model, variant, threat, metric, papers=("EWS-poster", "EWS-arXiv")):
    """All values that are printed for one cell, those of the camera-ready poster first."""
    for paper in papers:
        for row in ROWS:
            own = (row["paper"], row["dataset"], row["model"], row["variant"], row["threat"], row["metric"])
            if own == (paper, dataset, model, variant, threat, metric) and row["table"] not in ("Table 5", "Table A"):
                yield float(row["value"])


def adversarial(card):
    """The cells of table 4 by the name of a card: its variant there, and its architecture."""
    method, _, arch = card.rpartition("-")
    parts = [part for part in ("awp", "ews") if part in method.split("-")]
    return f"{'trades' if 'trades' in method else 'at'}/{'-'.join(parts) or 'vanilla'}", ARCHS[arch]


def augmented(card):
    """The cells of the other tables: augmentation and method."""
    method = card.partition("-resnet50")[0]
    kind = next((kind for kind in ("dropout", "ews") if method.startswith(kind)), "vanilla")
    augmentation = method.removeprefix(kind).strip("-")
    return f"{'standard' if augmentation in ('', 'std', 'standard') else augmentation}/{kind}"


@pytest.mark.parametrize("name", [name for name in CARDS if name.rpartition("-")[2] in ARCHS])
def test_adversarial_cards_report_accuracies(name):
    card = CARDS[name]
    variant, arch = adversarial(name)
    assert [entry.score for entry in card.reported] == ["clean", "pgd20", "aa"]
    for entry in card.reported:
        assert entry.suite == "cifar10-linf"
        error = next(published("cifar10", arch, variant, THREATS[entry.score], "error"))
        assert entry.value == pytest.approx(100 - error)
        assert float(re.search(r"error ([\d.]+)$", entry.source)[1]) == pytest.approx(error)


@pytest.mark.parametrize("name", [name for name in CARDS if "resnet50-cifar" in name])
def test_cifar_cards_report_errors(name):
    card = CARDS[name]
    for entry in card.reported:
        assert entry.suite == f"{card.dataset}-c"
        dataset, threat = (card.dataset, "clean") if entry.score == "clean" else (entry.suite, "corruption")
        assert entry.value == next(published(dataset, "resnet50", augmented(name), threat, "error"))
    assert {entry.score for entry in card.reported} == {"clean", "error"}


@pytest.mark.parametrize("name", [name for name in CARDS if "resnet50-imagenet" in name])
def test_imagenet_cards_report_every_column(name):
    card = CARDS[name]
    counts = {"imagenet-c": 0, "imagenet-p": 0}
    for entry in card.reported:
        mean = {"mce": ("corruption", "mCE"), "mfr": ("perturbation", "mFR")}.get(entry.score)
        single = ("corruption", "CE") if entry.suite == "imagenet-c" else ("perturbation", "FR")
        threat, metric = mean or (f"{single[0]}:{entry.score}", single[1])
        values = list(published(entry.suite, "resnet50", augmented(name), threat, metric, papers=("EWS-arXiv",)))
        assert entry.value == values[0]
        assert entry.score in {score.name for score in CATALOG.suite(entry.suite).scores}
        counts[entry.suite] += 1
    copied = name == "dropout-deepaugment-resnet50-imagenet"  # whose row of ImageNet-P is a copy of another one
    assert counts == {"imagenet-c": 16, "imagenet-p": 0 if copied else 11}


def test_every_number_of_table_4_is_on_a_card():
    printed = [row for row in ROWS if row["table"] == "Table 4"]
    on_cards = {(adversarial(name), THREATS[entry.score]) for name in CARDS if name.rpartition("-")[2] in ARCHS for entry in CARDS[name].reported}  # fmt: skip # noqa: E501
    assert {((row["variant"], row["model"]), row["threat"]) for row in printed} == on_cards
