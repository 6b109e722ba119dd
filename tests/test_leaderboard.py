"""RobustBench's leaderboards: files in its format beside hand-made runs, and runs as files of its format."""

import json

import pytest
from evidence import outcomes

from rbench import exchange, leaderboard
from rbench.catalog import Catalog
from rbench.cli import run as rbench
from rbench.current import code_of
from rbench.errors import MissingError, UsageError
from rbench.planner import Variant, jobs
from rbench.store import Run
from rbench.types import Call, Score

# As in RobustBench's repository, model_info/cifar10/Linf.
CARMON = {
    "link": "https://arxiv.org/abs/1905.13736", "name": "Unlabeled Data Improves Adversarial Robustness",
    "authors": "Yair Carmon", "additional_data": True, "number_forward_passes": 1, "dataset": "cifar10",
    "venue": "NeurIPS 2019", "architecture": "WideResNet-28-10", "eps": "8/255", "clean_acc": "89.69",
    "reported": "62.5", "autoattack_acc": "59.53",
}  # fmt: skip
XIAO = {**CARMON, "eps": "0.031", "clean_acc": "79.28", "reported": "52.4", "autoattack_acc": "18.50",
        "external": "7.15", "unreliable": True}  # fmt: skip
RLAT = {**CARMON, "eps": None, "clean_acc": "93.10", "reported": "84.1", "corruptions_acc": "84.10"}
del RLAT["autoattack_acc"]


@pytest.fixture
def theirs(tmp_path):
    folder = tmp_path / "robustbench" / "model_info" / "cifar10"
    for threat, name, entry in (
        ("Linf", "Xiao2020", XIAO),
        ("Linf", "Carmon2019", CARMON),
        ("corruptions", "Rlat", RLAT),
    ):
        (folder / threat).mkdir(parents=True, exist_ok=True)
        (folder / threat / f"{name}.json").write_text(json.dumps(entry))
    return tmp_path / "robustbench"


def keep(catalog, root, model, arch, right, limit=None, code=None):
    """A run of cifar10-linf by hand, of ten images: `right` says by probe how many are classified as their label."""
    variant = Variant(limit=limit)
    suite = variant.apply(catalog.suite("cifar10-linf"))
    code = code or code_of(suite, arch)
    run = Run(root / suite.name / model / variant.folder)
    manifest = {
        "rbench": "0", "suite": f"{suite.name}@{suite.version} {suite.digest[:16]}", "model": model,
        "arch": {"use": arch.use, "args": dict(arch.args)}, "weights": "w", "data": "d", "views": {}, "samples": 10,
        "total": 10, "seed": 0, "code": code, "surrogates": {}, "provenance": {"weights": "theirs"},
    }  # fmt: skip
    with run.writing(manifest):
        for job in jobs(suite, model=model, weights="w", data="d", code="c", seed=0):
            good = right.get(job.probe.name, right["aa"])
            run.commit(job, outcomes([place < good for place in range(10)]))
            run.complete(job, 10, ())
    return run.folder


def robustbench(name):
    return Call(exchange.HUB, {"name": name, "dataset": "cifar10", "threat": "Linf"})


def test_a_leaderboard_is_read_from_a_checkout_or_any_folder_of_it(theirs):
    found = leaderboard.read(theirs, "cifar10", "Linf")
    assert [entry.model for entry in found] == ["Carmon2019", "Xiao2020"]  # the best first
    assert (found[0].clean, found[0].robust, found[0].external) == (89.69, 59.53, None)
    assert (found[1].external, found[1].unreliable, found[1].reported) == (7.15, True, 52.4)
    for place in ("model_info", "model_info/cifar10/Linf"):
        assert leaderboard.read(theirs / place, "cifar10", "Linf") == found
    (rlat,) = leaderboard.read(theirs, "cifar10", "corruptions")
    assert (rlat.robust, rlat.eps) == (84.1, "")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[", "Carmon2019.json is no JSON of an entry"),
        (json.dumps({**CARMON, "autoattack_acc": "5.9e3"}), "autoattack_acc = '5.9e3' lies outside 0 to 100"),
        (json.dumps({**CARMON, "clean_acc": "good"}), "clean_acc = 'good' is no number of percent"),
        (json.dumps({**CARMON, "eps": "eight"}), "eps = 'eight' is not a number"),
    ],
)
def test_a_file_that_says_what_cannot_be_is_named(theirs, text, sentence):
    (theirs / "model_info/cifar10/Linf/Carmon2019.json").write_text(text)
    with pytest.raises(UsageError, match=sentence):
        leaderboard.read(theirs, "cifar10", "Linf")


def test_a_folder_without_it_is_said_to_be_none(theirs):
    with pytest.raises(MissingError, match="holds no leaderboard cifar100/L2; name a checkout"):
        leaderboard.read(theirs, "cifar100", "L2")
    with pytest.raises(UsageError, match="suite 'digits-p' has no score 'error'"):
        leaderboard.place_of(Catalog.find().suite("digits-p"))


def test_our_run_of_their_model_stands_beside_it_and_other_models_below(theirs, tmp_path):
    catalog, root = Catalog.find(), tmp_path / "runs"
    run = keep(catalog, root, "robustbench-Carmon2019-cifar10-Linf", robustbench("Carmon2019"), {"clean": 9, "aa": 6})
    keep(catalog, root, "timm-net", Call("rbench.hubs.timm:build", {"name": "net"}), {"clean": 8, "aa": 1})
    keep(catalog, root, "timm-old", Call("rbench.hubs.timm:build", {"name": "x"}), {"aa": 1}, code={"rbench": "older"})
    rows, told = exchange.beside(catalog, root, theirs, "cifar10-linf")
    assert [row.model for row in rows] == ["Carmon2019", "Xiao2020", "timm-net"]
    assert (rows[0].clean, rows[0].robust, rows[0].n, rows[0].run) == (90, 60, 10, run)
    assert rows[0].difference == pytest.approx(0.47)
    assert (rows[1].robust, rows[1].difference) == (None, None)
    assert (rows[2].entry, rows[2].robust) == (None, 10)
    assert "2 files of" in told
    assert "1 with another eps" in told


def test_it_is_printed_with_its_provenance(theirs, tmp_path, capsys):
    words = ["robustbench", "compare", str(theirs), "--suite", "cifar10-linf", "--runs", str(tmp_path / "none")]
    assert rbench([*words, "-f", "csv"]) == 0
    first, second = capsys.readouterr().out.splitlines()[1:3]
    assert first.startswith("Carmon2019,89.69,,59.53,")
    assert f"{theirs}/model_info/cifar10/Linf/Carmon2019.json" in first
    assert ",7.15,52.4,0.031,unreliable," in second
    assert rbench(words) == 0
    assert "RobustBench, cifar10/Linf: 2 files of" in capsys.readouterr().out
    assert rbench([*words, "-f", "xml"]) == 3


def test_a_run_is_written_as_an_entry_that_reads_back(tmp_path, capsys):
    catalog, root = Catalog.find(), tmp_path / "runs"
    keep(catalog, root, "mine", robustbench("Mine"), {"clean": 9, "aa": 6, "worst-case": 5})
    words = ["robustbench", "submit", "--suite", "cifar10-linf", "--model", "mine", "--runs", str(root)]
    told = [
        "link=https://arxiv.org/abs/1",
        "name=A = B",
        "authors=A, B",
        "additional_data=false",
        "number_forward_passes=1",
    ]
    says = [word for each in told for word in ("--say", each)]
    assert rbench([*words, "--out", str(tmp_path / "out"), *says]) == 0
    assert "to fill in: venue, architecture" in capsys.readouterr().err
    written = json.loads((tmp_path / "out" / "cifar10" / "Linf" / "mine.json").read_text())
    assert written == {
        "link": "https://arxiv.org/abs/1", "name": "A = B", "authors": "A, B", "additional_data": False,
        "number_forward_passes": 1, "venue": None, "architecture": None, "dataset": "cifar10", "eps": "8/255",
        "clean_acc": "90.00", "autoattack_acc": "60.00", "external": "50.00",
        "unreliable": True,  # RB142: the cheaper cascade found what AutoAttack did not
    }  # fmt: skip
    (entry,) = leaderboard.read(tmp_path / "out", "cifar10", "Linf")
    assert (entry.clean, entry.robust, entry.external) == (90, 60, 50)
    assert rbench([*words, "--out", str(tmp_path / "out"), "--say", "vneue=x"]) == 3
    assert "no key named 'vneue' in RobustBench's format. Did you mean 'venue'?" in capsys.readouterr().err


def test_only_a_whole_run_is_an_entry(tmp_path):
    catalog, root = Catalog.find(), tmp_path / "runs"
    keep(catalog, root, "part", robustbench("Mine"), {"clean": 9, "aa": 6}, limit=5)
    with pytest.raises(MissingError, match=r"no whole run of 'part'.*rbench eval --suite cifar10-linf --model part"):
        exchange.submit(catalog, root, "cifar10-linf", "part", {}, tmp_path)


def test_errors_become_accuracies_and_an_unreliable_run_says_so():
    suite = Catalog.find().suite("cifar10-c")
    scores = {"clean": Score(0.05, (0, 1), 9), "error": Score(0.2, (0, 1), 9), "fog": None}
    told = leaderboard.submission(suite, scores, "unreliable", {})
    assert (told["clean_acc"], told["corruptions_acc"], told["eps"], told["unreliable"]) == (
        "95.00",
        "80.00",
        None,
        True,
    )
    assert "autoattack_acc" not in told
    with pytest.raises(UsageError, match="no score 'error' yet"):
        leaderboard.submission(suite, {"clean": scores["clean"]}, None, {})
