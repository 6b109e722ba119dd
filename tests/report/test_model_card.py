"""Model cards: what they say is what the runs hold, and their metadata are what Hugging Face reads."""

import re
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from kept_runs import keep

import rbench
from rbench.cli import run as cli
from rbench.dossier import Dossier, Measured
from rbench.errors import UsageError
from rbench.pages import Cell, Column, Sheet
from rbench.planner import Variant
from rbench.report.model_card import LICENSE, model_card
from rbench.statistics.intervals import wilson
from rbench.types import Call, Finding, ModelCard, Probe, Reported, Score, ScoreSpec, Suite, Threat

ROOT = Path(__file__).parents[2]
MASKED = Finding("RB124", "warn", "fgsm fools 9 of 500 samples that pgd20 does not.")
PROBES = (Probe("clean"), Probe("pgd20", Call("a:pgd")), Probe("wide", Call("a:pgd"), eps="12/255"))
SCORES = (
    ScoreSpec("clean", "rbench.metrics:accuracy", ("clean",), title="Clean"),
    ScoreSpec("pgd20", "rbench.metrics:accuracy", ("pgd20",), title="PGD-20"),
    ScoreSpec("worst", "rbench.metrics:worst_case", ("clean", "pgd20", "wide")),
    ScoreSpec("aa", "rbench.metrics:accuracy", ("aa",), title="AA"),
)
SUITE = Suite("s", 3, "S, 8/255", "cifar10", Call("d:load", {"split": "test"}), PROBES, SCORES, Threat("linf", "8/255"))
CARD = ModelCard(
    "net-x", 'Net "x": 100% #1, naïve', Call("m:net", {"width": 4}), "cifar10", recipe="net-x", paper="Doe, 2024",
    reported=(Reported("s", "pgd20", 83.5, "Doe, 2024, table 1 | A"), Reported("t", "clean", 90, "Doe, 2024, table 2")),
)  # fmt: skip


def score(k, *findings):
    return Score(k / 500, wilson(k, 500), 500, findings)


def sheet(**cells):
    columns = tuple(Column(f"s:{spec.name}", spec.title or spec.name, True) for spec in SCORES)
    filled = {("net-x", c.key): cells.get(c.key[2:], Cell(missing="rbench eval --suite s --fill")) for c in columns}
    protocol = ("s@3: cifar10, L-inf, eps = 8/255, n = 500, seed 7",)
    return Sheet("s", "S, 8/255", protocol, (("net-x", "Net"),), columns, filled, {("net-x", "s"): "suspect"})


@pytest.fixture
def found():
    page = sheet(clean=Cell(score(450), 500), pgd20=Cell(score(400, MASKED), 500), worst=Cell(score(390), 500))
    run = Measured(SUITE, Variant(7), page, "rbench eval --suite s --model net-x --seed 7")
    return Dossier(CARD, "ab" * 32, (run,), ("rbench eval --suite t --model net-x",))


def parted(text):
    """The metadata and the page of a card."""
    _, front, page = text.split("---\n", 2)
    return yaml.safe_load(front), page


def check_index(index):
    """Every key that huggingface/hub-docs, modelcard.md, requires of a model-index, with its kind."""
    for model in index:
        assert isinstance(model["name"], str)
        for result in model["results"]:
            assert result["task"]["type"] == "image-classification"
            assert all(isinstance(result["dataset"][key], str) for key in ("type", "name"))
            assert result["metrics"]
            for metric in result["metrics"]:
                assert isinstance(metric["type"], str)
                assert isinstance(metric["value"], float)
                assert metric["verified"] is False


def test_the_metadata_hold_every_score_as_a_share_with_its_protocol_and_doubt(found):
    front, _ = parted(model_card(found, hf=True))
    check_index(front["model-index"])
    assert front["library_name"] == "rbench"
    assert front["datasets"] == ["uoft-cs/cifar10"]
    assert front["metrics"] == ["accuracy", "worst_case"]
    ((result,),) = (model["results"] for model in front["model-index"])
    assert result["dataset"] == {"name": "cifar10, suite s@3", "type": "uoft-cs/cifar10", "split": "test"}
    clean, pgd, worst = result["metrics"]
    low, high = wilson(450, 500)
    common = {"suite": "s@3", "n": 500, "seed": 7}
    assert clean["value"] == 0.9
    assert clean["args"] == {**common, "score": "clean", "low": low, "high": high}
    assert (pgd["name"], pgd["value"], pgd["args"]["eps"]) == ("PGD-20 (L-inf, eps = 8/255)", 0.8, "8/255")
    assert (pgd["args"]["verdict"], pgd["args"]["findings"]) == ("suspect", ["RB124"])
    assert (worst["type"], worst["args"]["eps"]) == ("worst_case", "8/255 12/255")
    assert "verdict" not in worst["args"]


def test_a_score_is_reliable_only_where_its_run_was_found_to_be(found):
    (page,) = found.measured
    told = replace(page, sheet=replace(page.sheet, verdicts={("net-x", "s"): "reliable"}))
    (result,) = parted(model_card(replace(found, measured=(told,)), hf=True))[0]["model-index"][0]["results"]
    assert [metric["args"].get("verdict") for metric in result["metrics"]] == ["reliable", "suspect", "reliable"]


def test_the_page_has_scores_doubt_claims_commands_and_limits(found):
    _, page = parted(model_card(found, hf=True))
    rows = {row[0]: row[1:] for row in (re.split(r" *\| *", line.strip("| ")) for line in page.splitlines()) if row}
    assert rows["Clean"][1:] == ["90.0", "[87.1, 92.3]", "500"]
    assert rows["PGD-20"] == ["↑", "80.0†", "[76.3, 83.3]", "500", "RB124"]
    assert rows["AA"][:2] == ["↑", "-"]
    assert "† net-x PGD-20: fgsm fools 9 of 500 samples that pgd20 does not. [RB124]" in page
    claims = [line for line in page.splitlines() if "Doe, 2024, table" in line]
    assert re.search(r"\| s +\| pgd20 +\| 83.5 +\| 80.0† \[76.3, 83.3\] +\| Doe, 2024, table 1 \\\| A", claims[0])
    assert re.search(r"\| t +\| clean +\| 90 +\| - +\|", claims[1])
    for words in (
        f"# {CARD.title}\n", "Doe, 2024", "ab" * 32, "rbench train net-x", "--model net-x --seed 7",
        "rbench eval --suite s --fill", "rbench eval --suite t --model net-x", "n = 500, seed 7", "0.5 there is 50.0",
    ):  # fmt: skip
        assert words in page, words
    assert not re.search(r"\n\n\n|[ \t]\n", page)


def test_without_metadata_the_page_is_the_same_but_for_what_it_says_of_them(found):
    plain, page = model_card(found), parted(model_card(found, hf=True))[1]
    assert plain.startswith(f"# {CARD.title}\n")
    assert [line for line in page.strip().splitlines() if line not in plain.splitlines()] == [
        "- Values in the metadata are shares, as those of the Hub's metric `accuracy` are: 0.5 there is 50.0 here."
    ]


def test_a_subset_and_a_changed_eps_do_not_stand_beside_the_papers_number(found):
    (page,) = found.measured
    for variant in (Variant(7, limit=100), Variant(7, eps="4/255")):
        text = model_card(replace(found, measured=(replace(page, variant=variant),)))
        assert re.search(r"\| s +\| pgd20 +\| 83.5 +\| - +\|", text)
        assert ("not comparable" in text) == (variant.limit is not None)


@pytest.mark.parametrize("part", [Variant(7, limit=4), Variant(7, missing=("frost",))])
def test_the_metadata_hold_no_number_of_a_part_of_the_samples_or_of_the_data(found, part):
    (page,) = found.measured
    front, told = parted(model_card(replace(found, measured=(replace(page, variant=part),)), hf=True))
    assert not {"metrics", "model-index"} & front.keys()
    assert "metadata hold no numbers of a subset" in told
    assert "0.5 there is 50.0" not in told
    both = replace(found, measured=(page, replace(page, variant=part)))
    front, told = parted(model_card(both, hf=True))
    assert [len(model["results"]) for model in front["model-index"]] == [1]
    assert "0.5 there is 50.0" in told


def test_attacks_by_another_package_are_named_in_the_metadata(found):
    (page,) = found.measured
    other = replace(page, variant=Variant(7, backend="pyautoattack"))
    (result,) = parted(model_card(replace(found, measured=(other,)), hf=True))[0]["model-index"][0]["results"]
    assert {metric["args"]["backend"] for metric in result["metrics"]} == {"pyautoattack"}


def test_without_runs_a_card_names_commands_and_claims_nothing(tmp_path):
    text = rbench.card("robnet-large-cifar10", hf=True, runs=tmp_path)
    front, page = parted(text)
    assert not {"metrics", "model-index"} & front.keys()
    assert "rbench eval --suite cifar10-robnet --model robnet-large-cifar10\n" in page
    assert "rbench train robnet-large-cifar10" in page
    assert "78.57" in page  # what the paper prints, and nothing beside it
    assert not re.search(r"\d\.\d† |\[\d+\.\d, ", page)
    assert "Nothing was measured" in page


def test_the_card_of_a_model_holds_its_own_current_runs(suite, tmp_path, monkeypatch):
    catalog, runs = suite(), tmp_path / "runs"
    stands, falls = [True] * 3 + [False], [True, False, False, False]
    correct = {"clean": [True] * 4, "first": stands, "second": falls}
    monkeypatch.chdir(tmp_path)
    shutil.copy(catalog.weights(catalog.model("standard-digits"))[0], "FILE")  # as folders call weights of another file
    for variant in (Variant(eps="64/255"), Variant(), Variant(limit=4), Variant(weights_file="FILE")):
        keep(catalog, runs, "quick", "at-digits", variant, correct)
    words = ["card", "at-digits", "--hf", "--runs", str(runs), "--catalog", str(tmp_path / "shelf")]
    assert cli([*words, "--out", str(tmp_path / "README.md")]) == 0
    text = (tmp_path / "README.md").read_text()
    assert text == rbench.card("at-digits", hf=True, runs=runs, catalog=catalog)
    results = parted(text)[0]["model-index"][0]["results"]
    check_index([{"name": "", "results": results}])
    assert [result["metrics"][1]["args"]["eps"] for result in results] == ["24/255", "64/255"]
    assert [[metric["value"] for metric in result["metrics"]] for result in results] == [[1.0, 0.25, 0.25]] * 2
    assert "rbench eval --suite quick --model at-digits --eps 64/255" in text
    suite(eps="16/255")  # now the first run is of another suite; the other names its eps itself
    changed = parted(rbench.card("at-digits", hf=True, runs=runs, catalog=catalog))[0]
    assert [r["metrics"][1]["args"]["eps"] for r in changed["model-index"][0]["results"]] == ["64/255"]


def test_errors_say_what_to_do(tmp_path, capsys):
    with pytest.raises(UsageError, match="Did you mean 'at-digits'"):
        rbench.card("at-digit", runs=tmp_path)
    assert cli(["card", "at-digits", "--runs", str(tmp_path), "--out", str(tmp_path / "no" / "README.md")]) == 4
    assert "name another file with --out" in capsys.readouterr().err


def test_the_license_is_that_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"].lower() == LICENSE
