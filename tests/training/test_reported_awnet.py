"""The numbers that AW-Nets and their baselines report, and their sizes, against the published table."""

import csv

import pytest
import torch
from cards import CARDS as ALL
from cards import CATALOG, need

from rbench.catalog import bind

with (CATALOG.roots[0] / "reports" / "published" / "awnet.csv").open(newline="") as file:
    ROWS = list(csv.DictReader(file))
CARDS = {name: card for name, card in ALL.items() if "2306.03430" in card.paper and card.reported}
SCORES = {"clean": "clean", "fgsm": "fgsm", "pgd_trades": "pgd-trades", "pgd_sat": "pgd-sat", "cw30": "cw30", "aa": "aa"}  # fmt: skip # noqa: E501
ABLATIONS = {
    "awnet-one-norm-cifar10": "dynamic_weight only",
    "awnet-adversarial-norm-cifar10": "dynamic_weight+mixbn (adv BN at test)",
}
MODELS = {"awnet": "aw_net", "awnet-l": "aw_net_l", "vgg16bn": "vgg16_bn", **dict.fromkeys(["awnet-one-norm", "awnet-adversarial-norm"], "aw_net")}  # fmt: skip # noqa: E501
ACCURACIES = ("accuracy", "robust_accuracy", "w_robust_acc")


def row(name):
    """The dataset, and the model as the table spells it."""
    dataset = CARDS[name].dataset
    model = name.removesuffix(f"-{dataset}").removeprefix("mtard-")
    return dataset, MODELS.get(model, model.replace("-", "_"))


def white_box(name):
    """Score -> all values that are printed for it in any table: one row of the paper's, or an ablation's."""
    own, found = (*row(name), ABLATIONS.get(name)), {}
    for each in ROWS:
        ablated = each["variant"] if each["table"] == "Table III" and each["model"] == "aw_net" else None
        ours = (each["dataset"], each["model"], ablated if ablated in ABLATIONS.values() else None)
        score = SCORES.get(each["threat"].removeprefix("linf-8/255:"))
        if ours == own and score and each["metric"] in ACCURACIES:
            prefix = "w-" if each["metric"] == "w_robust_acc" else ""
            found.setdefault(prefix + score, set()).add(float(each["value"]))
    return found


@pytest.mark.parametrize("name", CARDS)
def test_cards_report_every_printed_number_and_no_other(name):
    card = CARDS[name]
    suite = f"{card.dataset}-awnet"
    found = {entry.score: {entry.value} for entry in card.reported if entry.suite == suite}
    assert found == white_box(name)
    scores = [score.name for score in CATALOG.suite(suite).scores]
    assert [score for score in scores if score in found] == list(found)
    others = [(entry.suite, entry.score, entry.value) for entry in card.reported if entry.suite != suite]
    adaptive = {"awnet-cifar10": 54.07, "awnet-cifar100": 27.93}  # table X
    assert others == ([(f"{card.dataset}-adaptive", "joint", adaptive[name])] if name in adaptive else [])
    for entry in card.reported:
        table = entry.source.split(", ")[3].removeprefix("table ")
        values = {float(each["value"]) for each in ROWS if each["table"] == f"Table {table}"}
        assert entry.value in values


def test_the_published_table_has_all_tables_of_the_paper():
    numbers = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI")
    assert {each["table"] for each in ROWS} == {*(f"Table {number}" for number in numbers), "Sec 5.3.2"}


def test_every_printed_row_that_can_be_built_has_a_card():
    rows = {(each["dataset"], each["model"]) for each in ROWS if each["metric"] in ACCURACIES and each["table"] != "Table V"}  # fmt: skip # noqa: E501
    # These dynamic networks are in no library that this project uses; HAT is no method here.
    missing = {("cifar10", model) for model in ("rdi_resnet38", "advmoe", "resnet18 + HAT", "wrn34_10 + HAT")}
    assert rows - {row(name) for name in CARDS} == missing


@pytest.mark.parametrize(
    ("name", "size", "unit"),
    [
        ("mtard-resnet34-cifar10", 20.3, 2**20),
        ("mtard-resnet50-cifar100", 22.6, 2**20),
        ("mtard-swin-tiny-cifar10", 27.5, 1e6),
        ("mtard-swin-small-cifar10", 48.8, 1e6),
        ("mtard-wrn34-8-cifar10", 29.6, 1e6),  # 29.5 is printed
        ("mtard-repvgg-a2-cifar10", 25.6, 2**20),
        ("mtard-repvgg-a2-cifar100", 25.7, 2**20),  # 25.6, those with 10 classes, is printed
    ],
)
def test_networks_are_as_large_as_printed_in_one_unit_or_the_other(name, size, unit):
    need(CARDS[name])
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in bind(CARDS[name].arch)().parameters())
    assert round(count / unit, 1) == size
    dataset, model = row(name)
    printed = {float(each["value"]) for each in ROWS if each["metric"] == "params" and (each["dataset"], each["model"]) == (dataset, model)}  # fmt: skip # noqa: E501
    assert printed == {{"mtard-wrn34-8-cifar10": 29.5, "mtard-repvgg-a2-cifar100": 25.6}.get(name, size)}
