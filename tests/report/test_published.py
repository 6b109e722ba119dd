"""The numbers of the papers: what the papers derive from them, and the cards and scores that answer them here."""

import csv
import re
from functools import cache
from statistics import mean

import pytest
from cards import CARDS, CATALOG

KEY = ("paper", "table", "dataset", "model", "variant", "threat", "metric")
UNITS = {"params": "M", "diff": "pp", "epochs_to_converge": "epochs", **dict.fromkeys(["rho_n", "rho_n-3", "rho_n-7", "rho_n-11"], "bits")}  # fmt: skip # noqa: E501
FILES = {}
for place in sorted((CATALOG.roots[0] / "reports" / "published").glob("*.csv")):
    with place.open(newline="") as file:
        FILES[place.stem] = list(csv.DictReader(file))
OTHERS = FILES["external"]  # what others measured of the same recipes
ROWS = [row for name, rows in FILES.items() for row in rows if name != "external"]
ANSWERED = [row for row in ROWS if row["score"]]
suite_of = cache(CATALOG.suite)


def grouped(rows, *keys):
    """Rows by the values of some keys."""
    found = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return found


def value(row):
    return float(row["value"])


@cache
def asked(score):
    """Whether a score is written "1 - suite:score", its suite, and itself; each suite is read once."""
    inverse, suite, name = re.fullmatch(r"(1 - )?([\w-]+):([\w-]+)", score).groups()
    found = suite_of(suite)
    return bool(inverse), found, {spec.name: spec for spec in found.scores}[name]


def dataset(row):
    return re.sub("-[cp]$", "", row["dataset"])


def test_every_key_is_unique_and_every_number_has_its_unit():
    assert list(FILES) == ["awnet", "ews", "external", "robnet", "semirobust"]
    assert [key for key, rows in grouped(ROWS + OTHERS, *KEY).items() if len(rows) > 1] == []
    for row in ROWS + OTHERS:
        assert row["unit"] == UNITS.get(row["metric"], "%")
        if not row["value"]:
            assert (row["metric"], row["note"]) == ("epochs_to_converge", "- = no trial converged")
        elif row["unit"] == "%":
            assert 0 <= value(row) <= 100


def test_w_robust_accuracies_are_means_but_for_two_misprints():
    wrong, checked = [], 0
    for (table, _, model), rows in grouped(FILES["awnet"], "table", "dataset", "model").items():
        cells = {(row["threat"], row["metric"]): row for row in rows}
        for (threat, metric), row in cells.items():
            if metric == "w_robust_acc" and ("clean", "accuracy") in cells:
                half = (value(cells["clean", "accuracy"]) + value(cells[threat, "robust_accuracy"])) / 2
                checked += 1
                if abs(value(row) - half) > 0.0051:
                    wrong.append((table, model, threat))
                    assert row["note"] == f"printed A_w {value(row)} != mean {half:.3f}"
    assert checked == 124
    assert wrong == [("Table I", "repvgg_a2", "linf-8/255:cw30"), ("Table VI", "repvgg_a2", "transfer(wrn70_16):pgd_sat")]  # fmt: skip # noqa: E501


def test_mce_and_mfr_are_means_of_15_and_10_rounded_numbers_but_for_two():
    wrong, checked = [], 0
    for (paper, data, variant), rows in grouped(FILES["ews"], "paper", "dataset", "variant").items():
        singles = [value(row) for row in rows if row["metric"] in ("CE", "FR")]
        for row in rows:
            if row["metric"] in ("mCE", "mFR"):
                assert len(singles) == {"imagenet-c": 15, "imagenet-p": 10}[data]
                told = re.search(r"mean of (?:rounded|printed) \w+ = ([\d.]+)", row["note"])[1]
                assert float(told) == pytest.approx(mean(singles), abs=0.0051)
                checked += 1
                if abs(value(row) - mean(singles)) > 0.5 + 0.05:  # roundings of the numbers and of their mean
                    wrong.append((paper, data, variant))
    assert checked == 25
    assert wrong == [("EWS-poster", "imagenet-c", "deepaugment/ews"), ("EWS-arXiv", "imagenet-p", "standard/ews")]


def test_a_row_that_copies_another_one_is_told():
    rows = grouped([row for row in FILES["ews"] if row["metric"] in ("CE", "FR")], "paper", "dataset", "variant")
    by_numbers = {}
    for key, cells in rows.items():
        by_numbers.setdefault(tuple(value(row) for row in cells), []).append(key[1:])
    copies = [keys for keys in by_numbers.values() if len(keys) > 1]
    assert copies == [[("imagenet-p", "augmix/dropout"), ("imagenet-p", "deepaugment/dropout")]]
    assert [row["variant"] for row in ROWS if "copy error" in row["note"]] == ["deepaugment/dropout"]


def test_differences_of_semirobust_are_those_of_their_accuracies_but_for_one():
    wrong, told = [], 0
    for key, rows in grouped(FILES["semirobust"], "table", "dataset", "model", "variant", "threat").items():
        cells = {row["metric"]: row for row in rows}
        best, row = cells.get("acc_tilde") or cells["acc_linear"], cells["diff"]
        difference = value(best) - value(cells["acc_star"])
        half = 0.05 if key[0] == "Table 3" else 0.005  # table 3 has accuracies of one decimal
        if abs(value(row) - difference) > 2 * half + 0.0051:
            wrong.append(key)
        if note := re.fullmatch(r"printed diff (\S+) but ([\d.]+)-([\d.]+)=(\S+)", row["note"]):
            told += 1
            printed = (row["value"], best["value"], cells["acc_star"]["value"], f"{difference:.2f}")
            assert note.groups() == printed
    assert wrong == [("Table 1", "cifar100", "wrn34_10", "fb_layers=12", "linf-8/255:aa")]
    assert told == 5


def test_what_was_corrected_agrees_with_the_differences_that_the_poster_prints():
    def error(table, variant, threat="corruption", data="cifar100-c"):
        own = (table, data, variant, threat)
        (row,) = grouped(FILES["ews"], "table", "dataset", "variant", "threat")[own]
        return value(row)

    poster = "Poster corruption table"
    assert error(poster, "standard/ews") == pytest.approx(error(poster, "standard/vanilla") - 1.68)
    before = error("Table 2/B", "deepaugment/vanilla", data="imagenet-c")
    assert error("Poster ImageNet-C", "deepaugment/ews", data="imagenet-c") == pytest.approx(before - 1.7)
    assert error("Table 2/B", "deepaugment/ews", data="imagenet-c") == pytest.approx(before - 1.5)


def test_stronger_attacks_find_more_in_ews():
    """Clean < PGD-20 < AA of every network: digits that were read wrongly would break it."""
    for rows in grouped(FILES["ews"], "table", "model", "variant").values():
        errors = {row["threat"].rpartition(":")[2]: value(row) for row in rows}
        if "aa" in errors:
            assert errors["clean"] < errors["pgd20"] < errors["aa"]


def test_every_card_exists_for_the_dataset_of_its_rows():
    for name, rows in grouped([row for row in ROWS + OTHERS if row["card"]], "card").items():
        assert {dataset(row) for row in rows} == {CARDS[name[0]].dataset}


def test_every_score_asks_what_the_row_prints():
    """Its suite, dataset, radius, attack and metric, and whether it is the other one of accuracy and error."""
    for (score, *_), rows in grouped(
        [*ANSWERED, *(row for row in OTHERS if row["score"])], "score", "threat", "metric"
    ).items():
        inverse, suite, spec = asked(score)
        assert {dataset(row) for row in rows} == {suite.dataset}, score
        kind = spec.use.removeprefix("rbench.metrics:")
        assert kind == METRICS[rows[0]["metric"], inverse], score
        radius, _, attack = rows[0]["threat"].rpartition(":")
        of = [probe for probe in spec.of if kind != "w_robust" or probe != "clean"]
        if radius.startswith("linf-"):
            assert (suite.threat.norm, f"linf-{suite.threat.eps}") == ("linf", radius)
            assert of == ["joint" if attack.startswith("adaptive") else attack.replace("_", "-")], score
        else:
            assert of == [attack] or (attack in ("corruption", "perturbation") and len(of) in (10, 15)), score


METRICS = {
    ("error", True): "accuracy", ("error", False): "error", ("accuracy", False): "accuracy",
    ("robust_accuracy", False): "accuracy", ("w_robust_acc", False): "w_robust",
    ("CE", False): "ce", ("mCE", False): "mce", ("FR", False): "flip_rate", ("mFR", False): "mfr",
    **{(metric, False): "accuracy" for metric in ("acc_nonrobust", "acc_star", "acc_tilde")},
}  # fmt: skip


def test_no_score_answers_what_no_suite_asks():
    """Surrogates that are not on the shelf, a radius in doubt, what is no score, and networks between two cards."""
    silent = {(row["metric"], row["threat"].partition(":")[0]) for row in ROWS if not row["score"]}
    white_box = {(metric, threat) for metric, threat in silent if metric in {key for key, _ in METRICS}}
    assert white_box == {
        ("robust_accuracy", "transfer(wrn70_16)"), ("w_robust_acc", "transfer(wrn70_16)"),
        ("robust_accuracy", "deepsloth"), ("accuracy", "linf-eps?"),
        ("accuracy", "corruption (Fig 1 setting)"), ("accuracy", "pgd (Fig 1 setting)"),
    }  # fmt: skip
    others = {metric for metric, _ in silent - white_box}
    assert others == {*UNITS, "detection_auc", "acc_sr", "acc_linear", "acc_random_lambda"}


def test_cards_report_what_the_rows_print_unless_a_note_tells_of_another_value():
    rows = {key: rows for key, rows in grouped(ANSWERED, "card", "score").items() if key[0]}
    reported = {(name, f"{entry.suite}:{entry.score}"): entry.value for name, card in CARDS.items() for entry in card.reported}  # fmt: skip # noqa: E501
    other, met = [], set()
    for (name, score), printed in rows.items():
        key = name, score.removeprefix("1 - ")
        if key in reported:
            met.add(key)
            want = 100 - reported[key] if score != key[1] else reported[key]
            other += [row for row in printed if value(row) != pytest.approx(want)]
    assert {(row["table"], row["variant"]) for row in other} == {
        ("Table 1", "standard/ews"), ("Table 1", "autoaugment/ews"), ("Table 1", "augmix/ews"),
        ("Table 4", "trades/awp-ews"), ("Table 5", "standard/subnet_search"), ("Table A", "standard/kl_subnet"),
        ("Poster ImageNet-C", "deepaugment/ews"),
        *(("Table 2", f"fa_layers={layers}") for layers in (17, 13, 9)),
    }  # fmt: skip
    assert [row for row in other if not re.search(r"poster|table \d prints", row["note"])] == []
    untrained = ["robnet-large-imagenet", *(f"free-at-resnet{depth}-imagenet" for depth in (50, 101, 152))]
    radius_in_doubt = {(name, f"imagenet-robnet:pgd{steps}") for name in untrained for steps in (10, 20, 100)}
    assert reported.keys() - met == radius_in_doubt
