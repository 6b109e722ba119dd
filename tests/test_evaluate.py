"""The spine from end to end, in one process: names to scores, and everything that must be refused on the way."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import rbench
from rbench import engine
from rbench.attacks.fgsm import fgsm
from rbench.catalog import Catalog
from rbench.data.digits import digits
from rbench.errors import AttackError, MissingError, ModelError, RbenchError, StoreError, UsageError
from rbench.models.linear import linear
from rbench.rng import Draws
from rbench.types import Threat

SUITE = """
version = 1
title = "quick"
dataset = "digits"
data = {{ use = "rbench.data.digits:digits", args = {{ split = "test" }} }}
threat = {{ norm = "{norm}", eps = "{eps}" }}
[probes.clean]
block = 10
[probes.first]
block = 10
attack = {{ use = "rbench.attacks.fgsm:fgsm" }}
[probes.second]
block = 10
attack = {{ use = "{attack}", args = {args} }}
[scores.clean]
use = "rbench.metrics:accuracy"
of = ["clean"]
[scores.second]
use = "rbench.metrics:accuracy"
of = ["second"]
[scores.worst]
use = "rbench.metrics:worst_case"
of = ["clean", "first", "second"]
"""
PGD = "rbench.attacks.pgd:pgd"


@pytest.fixture
def suite(tmp_path):
    """Write the suite `quick` with one attack of the test's choice; returns the catalog."""

    def write(attack=PGD, args="{ steps = 3 }", norm="linf", eps="24/255"):
        folder = tmp_path / "shelf" / "suites"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "quick.toml").write_text(SUITE.format(attack=attack, args=args, norm=norm, eps=eps))
        return Catalog.find([tmp_path / "shelf"])

    return write


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def test_scores_equal_an_evaluation_by_hand(suite, small_net):
    run = rbench.evaluate(small_net, "quick", limit=35, catalog=suite())
    data = digits("test")
    x, y = torch.from_numpy(data.pixels[:35]).float() / 255, torch.from_numpy(data.labels[:35])
    x_adv = fgsm(small_net, x, y, Threat("linf", "24/255"), rng=Draws(0, "first", torch.arange(35)))
    with torch.no_grad():
        correct = small_net(x).argmax(1) == y
        survives = correct & (small_net(x_adv).argmax(1) == y)
    frame = run.samples
    by_hand = frame[frame.probe == "first"].set_index("sample")
    assert run.scores["clean"].value == correct.float().mean()
    assert (by_hand.pred == by_hand.label).tolist() == survives.tolist()
    assert run.scores["worst"].value <= min(survives.float().mean(), run.scores["second"].value)
    assert (run.scores["clean"].n, len(frame)) == (35, 105)


def test_samples_that_are_wrong_already_are_left_alone_and_passes_are_counted(suite, small_net):
    frame = rbench.evaluate(small_net, "quick", limit=30, catalog=suite()).samples
    clean, second = (frame[frame.probe == probe].reset_index() for probe in ("clean", "second"))
    wrong = clean.pred != clean.label
    assert wrong.any()
    assert (~wrong).any()
    assert (second[wrong].distance == 0).all()
    assert (second[wrong].pred == clean[wrong].pred).all()
    assert (second[wrong].forwards == 0).all()
    assert (second[~wrong].forwards == 4).all()
    assert (second[~wrong].backwards == 3).all()
    assert (clean.forwards == 0).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_batch_size_subset_and_order_of_blocks_do_not_matter(suite, small_net, norm, tmp_path):
    catalog = suite(norm=norm, eps="24/255" if norm == "linf" else "2")
    net = small_net
    runs = {}
    for batch, limit in ((1, 30), (7, 30), (64, 30), (30, 20)):
        run = rbench.evaluate(
            net, "quick", limit=limit, batch=batch, catalog=catalog, runs=tmp_path / f"r{batch}-{limit}"
        )
        runs[batch] = run.samples[["probe", "sample", "pred"]].set_index(["probe", "sample"]).pred
    assert runs[1].equals(runs[7])
    assert runs[1].equals(runs[64])
    assert runs[30].equals(runs[1].loc[runs[30].index])


def test_a_half_done_group_is_computed_as_a_whole_again(suite, monkeypatch):
    """Blocks that shared a batch share it again, lest the last bits move."""
    catalog = suite()
    run = rbench.evaluate("at-digits", "quick", limit=40, batch=20, catalog=catalog)
    before = contents(run.folder)
    for name in ("complete.json", "000010.parquet"):
        (run.folder / "second" / name).unlink()
    groups = []
    original = engine.run_blocks
    monkeypatch.setattr(
        engine, "run_blocks", lambda bench, job, group: groups.append(group) or original(bench, job, group)
    )
    assert rbench.evaluate("at-digits", "quick", limit=40, batch=20, catalog=catalog).fresh_blocks == 1
    assert groups == [(range(10), range(10, 20))]
    assert contents(run.folder) == before


def test_the_count_of_workers_changes_no_byte(suite, tmp_path):
    catalog = suite()
    runs = [
        rbench.evaluate("at-digits", "quick", limit=35, workers=k, catalog=catalog, runs=tmp_path / str(k))
        for k in (1, 3)
    ]
    assert contents(runs[0].folder) == contents(runs[1].folder)


def test_an_error_in_a_worker_arrives_whole(suite, tmp_path):
    (tmp_path / "cheats.py").write_text(CHEATS)
    with pytest.raises(AttackError, match=r"attack 'second' crashed on samples .*RuntimeError: out of luck"):
        rbench.evaluate(
            "at-digits", "quick", limit=40, workers=2, catalog=suite(f"{tmp_path / 'cheats.py'}:crash", "{}")
        )


def test_the_seed_matters_where_it_should(suite, small_net):
    a, b = (rbench.evaluate(small_net, "quick", limit=20, seed=seed, catalog=suite()).samples for seed in (0, 1))
    assert a[a.probe == "first"].margin.equals(b[b.probe == "first"].margin)
    assert not a[a.probe == "second"].margin.equals(b[b.probe == "second"].margin)


def test_a_second_call_runs_nothing_and_says_so(suite, small_net):
    first = rbench.evaluate(small_net, "quick", limit=20, catalog=suite())
    before = contents(first.folder)
    second = rbench.evaluate(small_net, "quick", limit=20, catalog=suite())
    assert (first.fresh_blocks, second.fresh_blocks) == (6, 0)
    assert contents(second.folder) == before
    assert second.scores == first.scores


def test_lost_blocks_are_run_again_to_the_same_bytes(suite, small_net):
    run = rbench.evaluate(small_net, "quick", limit=40, batch=10, catalog=suite())
    before = contents(run.folder)
    for name in ("complete.json", "000010.parquet", "000030.parquet"):
        (run.folder / "second" / name).unlink()
    again = rbench.evaluate(small_net, "quick", limit=40, batch=10, catalog=suite())
    assert again.fresh_blocks == 2
    assert contents(run.folder) == before


CHEATS = """
import torch

def leaves(model, x, y, threat, *, rng):
    return (x + 2 * threat.radius).clamp(0, 1)

def unboxed(model, x, y, threat, *, rng):
    return x - threat.radius

def nothing(model, x, y, threat, *, rng):
    return None

def nan(model, x, y, threat, *, rng):
    return x * float("nan")

def shorter(model, x, y, threat, *, rng):
    return x[1:]

def crash(model, x, y, threat, *, rng):
    raise RuntimeError("out of luck")

def late(model, x, y, threat, *, rng):
    if rng.samples.max() >= 10:
        raise RuntimeError("out of luck")
    return x

def edits_weights(model, x, y, threat, *, rng):
    for parameter in model.parameters():
        parameter.data.zero_()
    return x

def edits_in_place(model, x, y, threat, *, rng):
    x_adv = x + threat.radius
    x.copy_(x_adv.clamp(0, 1))
    y.fill_(0)
    return x_adv
"""


@pytest.mark.parametrize(
    ("cheat", "sentence", "error"),
    [
        ("leaves", "attack 'second' left the linf ball", AttackError),
        ("unboxed", r"attack 'second' left the range \[0, 1\]", AttackError),
        ("nothing", "attack 'second' returned NoneType", AttackError),
        ("nan", "attack 'second' returned NaN", AttackError),
        ("shorter", "attack 'second' returned torch.float32", AttackError),
        ("crash", "attack 'second' crashed on samples .*RuntimeError: out of luck", AttackError),
        ("edits_weights", "changed while attack 'second' had it", AttackError),
        ("edits_in_place", r"attack 'second' left the range \[0, 1\]", AttackError),
    ],
)
def test_a_cheating_attack_is_refused_and_its_block_is_not_stored(suite, small_net, tmp_path, cheat, sentence, error):
    (tmp_path / "cheats.py").write_text(CHEATS)
    catalog = suite(f"{tmp_path / 'cheats.py'}:{cheat}", "{}")
    with pytest.raises(error, match=sentence):
        rbench.evaluate(small_net, "quick", limit=20, batch=10, catalog=catalog)
    (folder,) = (tmp_path / "runs" / "quick").glob("*/*")
    assert (folder / "first" / "complete.json").is_file()
    assert not list(folder.glob("second/*"))


def test_what_was_stored_before_a_crash_stays(suite, tmp_path):
    (tmp_path / "cheats.py").write_text(CHEATS)
    catalog = suite(f"{tmp_path / 'cheats.py'}:late", "{}")
    with pytest.raises(AttackError, match="out of luck"):
        rbench.evaluate("at-digits", "quick", limit=40, batch=10, workers=1, catalog=catalog)
    (folder,) = (tmp_path / "runs" / "quick").glob("*/*")
    assert [path.name for path in folder.glob("second/*")] == ["000000.parquet"]


class Odd(nn.Module):
    """A classifier with one flaw."""

    def __init__(self, flaw):
        super().__init__()
        self.flaw = flaw
        self.fc = nn.Linear(3072, 11 if flaw == "classes" else 10)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        logits = self.fc(x.flatten(1))
        if self.flaw == "nan":
            logits = logits / torch.zeros_like(logits)
        if self.flaw == "softmax":
            logits = logits.softmax(1)
        if self.flaw == "raises":
            raise RuntimeError("half a model")
        if self.flaw == "random":
            logits = logits + torch.randn_like(logits)
        if self.flaw == "off the grid" and ((x * 255 - (x * 255).round()).abs() > 1e-3).any():
            logits = logits * float("nan")
        if self.flaw == "learns":
            self.seen += 1
        if self.flaw == "weights":
            self.fc.weight.data += 1e-3
        return logits


@pytest.mark.parametrize(
    ("flaw", "sentence"),
    [
        ("nan", "NaN or infinite logits"),
        ("classes", r"returned shape \[\d+, 11\]; this dataset needs"),
        ("softmax", "returned probabilities"),
        ("learns", "'seen' changed"),
        ("raises", "the model fails on images .*RuntimeError: half a model"),
        ("random", "different logits each time"),
        ("off the grid", "NaN or infinite logits for images in .* that an attack tried"),
        ("weights", r"'fc\.weight' changed"),
    ],
)
def test_a_model_that_is_no_classifier_is_refused(suite, flaw, sentence):
    with pytest.raises(ModelError, match=sentence) as caught:
        rbench.evaluate(Odd(flaw), "quick", limit=20, catalog=suite())
    assert caught.value.exit_code == 4


def test_the_users_model_comes_back_as_it_was(suite, small_net):
    small_net.train()
    small_net.blocks[0].eval()
    before = {name: value.clone() for name, value in small_net.state_dict().items()}
    rbench.evaluate(small_net, "quick", limit=20, catalog=suite())
    assert small_net.training
    assert not small_net.blocks[0].training
    assert all(p.requires_grad and p.grad is None for p in small_net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in small_net.state_dict().items())


def test_the_callers_randomness_is_not_moved(suite, small_net):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    rbench.evaluate(small_net, "quick", limit=20, catalog=suite("rbench.attacks.autoattack:autoattack", "{}"))
    assert torch.equal(torch.get_rng_state(), before)


BAD_DATA = """
import numpy as np
from rbench.data.arrays import ArrayDataset

def normalised(split):
    pixels = np.random.default_rng(0).normal(size=(20, 3, 32, 32)).astype(np.float32)
    return ArrayDataset("digits", 10, pixels, np.zeros(20, dtype=np.int64))

def mislabelled(split):
    return ArrayDataset("digits", 10, np.zeros((20, 3, 32, 32), dtype=np.uint8), np.full(20, 10))
"""


@pytest.mark.parametrize(
    ("kind", "sentence"), [("normalised", r"outside \[0, 1\]"), ("mislabelled", "labels outside 0..9")]
)
def test_bad_data_is_refused(suite, small_net, tmp_path, kind, sentence):
    (tmp_path / "bad.py").write_text(BAD_DATA)
    catalog = suite()
    path = tmp_path / "shelf" / "suites" / "quick.toml"
    path.write_text(path.read_text().replace("rbench.data.digits:digits", f"{tmp_path / 'bad.py'}:{kind}"))
    with pytest.raises(MissingError, match=sentence):
        rbench.evaluate(small_net, "quick", catalog=catalog)


def test_a_run_of_another_version_of_the_suite_is_refused_then_set_aside(suite, tmp_path):
    (tmp_path / "m.py").write_text(
        "import torch\nfrom rbench.models.linear import linear\ndef net():\n    torch.manual_seed(0)\n"
        "    return linear(3072, 10)\n"
    )
    model = f"{tmp_path / 'm.py'}:net"
    old = rbench.evaluate(model, "quick", limit=10, catalog=suite())
    before = contents(old.folder)
    path = tmp_path / "shelf" / "suites" / "quick.toml"
    path.write_text(path.read_text().replace("version = 1", "version = 2"))
    catalog = Catalog.find([tmp_path / "shelf"])
    with pytest.raises(StoreError, match=r"its suite is 'quick@1 \w+', not 'quick@2 \w+'.*--fresh"):
        rbench.evaluate(model, "quick", limit=10, catalog=catalog)
    assert contents(old.folder) == before
    new = rbench.evaluate(model, "quick", limit=10, catalog=catalog, fresh=True)
    assert new.fresh_blocks == 3
    assert contents(old.folder.with_name(old.folder.name + ".old-1")) == before


def test_a_change_of_code_is_refused_by_name(suite, tmp_path):
    (tmp_path / "m.py").write_text("from rbench.models.linear import linear\ndef net():\n    return linear(3072, 10)\n")
    (tmp_path / "cheats.py").write_text(CHEATS)
    net = linear(3072, 10)
    catalog = suite(f"{tmp_path / 'cheats.py'}:late", "{}")
    with pytest.raises(AttackError):
        rbench.evaluate(net, "quick", limit=20, catalog=catalog, batch=10)
    (tmp_path / "cheats.py").write_text(CHEATS.replace(">= 10", ">= 100"))
    with pytest.raises(StoreError, match="its code is"):
        rbench.evaluate(net, "quick", limit=20, catalog=catalog, batch=10)


@pytest.mark.parametrize(
    ("options", "sentence", "error"),
    [
        ({"suite": "quik"}, "Did you mean 'quick'", UsageError),
        ({"model": "ews-digit"}, "Did you mean 'ews-digits'", UsageError),
        ({"limit": 0}, "limit = 0", UsageError),
        ({"seed": -1}, "seed = -1", UsageError),
        ({"eps": "eight"}, "eps = 'eight' is not a number", UsageError),
        ({"eps": "8"}, "Did you mean '8/255'", UsageError),
        ({"device": "quantum"}, "device 'quantum'", UsageError),
        ({"model": "ews-wrn34"}, "classifies 'cifar10', suite 'quick' holds 'digits'", UsageError),
        ({"model": "ews-wrn34", "suite": "cifar10-linf"}, "do not exist yet.*rbench train ews-wrn34", MissingError),
        ({"model": "nowhere.py:net"}, "no file", MissingError),
        ({"model": "at-digits", "weights": "nowhere.safetensors"}, "no checkpoint", MissingError),
        ({"model": "m.py:net", "weights": "nowhere.safetensors"}, "--weights goes with a model", UsageError),
        ({"workers": 0}, "workers = 0", UsageError),
    ],
)
def test_bad_input_is_one_clear_sentence(suite, options, sentence, error):
    options = {"model": "at-digits", "suite": "quick", "limit": 10, **options}
    with pytest.raises(error, match=sentence):
        rbench.evaluate(catalog=suite(), **options)


def test_a_missing_dataset_is_an_error_and_not_a_number(tmp_path, small_net):
    with pytest.raises(MissingError, match=r"no intact CIFAR10 in .*--data-dir") as caught:
        rbench.evaluate(small_net, "cifar10-linf", data_dir=tmp_path)
    assert caught.value.exit_code == 4
    assert isinstance(caught.value, RbenchError)


def test_another_eps_is_another_run(suite, small_net):
    catalog = suite()
    a = rbench.evaluate(small_net, "quick", limit=30, catalog=catalog)
    b = rbench.evaluate(small_net, "quick", limit=30, eps="1/255", catalog=catalog)
    assert a.folder != b.folder
    assert b.samples.distance.max() <= 1 / 255 + 1e-6 < a.samples.distance.max()
    assert "eps = 1/255" in b.sheet.protocol[0]


def test_a_plan_says_what_is_left_and_runs_nothing(suite, tmp_path):
    catalog = suite()
    plan = rbench.plan("at-digits", "quick", limit=25, catalog=catalog)
    assert [(row["probe"], row["done"], row["left"], row["blocks"]) for row in plan] == [
        (probe, 0, 25, 3) for probe in ("clean", "first", "second")
    ]
    assert not (tmp_path / "runs").exists()
    folder = rbench.evaluate("at-digits", "quick", limit=25, catalog=catalog).folder
    (folder / "second" / "complete.json").unlink()
    (folder / "second" / "000020.parquet").unlink()
    left = {row["probe"]: row["left"] for row in rbench.plan("at-digits", "quick", limit=25, catalog=catalog)}
    assert left == {"clean": 0, "first": 0, "second": 5}


def test_other_weights_of_a_card_have_a_run_of_their_own(suite, tmp_path):
    catalog = suite()
    own, _ = catalog.weights(catalog.model("at-digits"))
    shutil.copy(own, tmp_path / "copy.safetensors")
    a = rbench.evaluate("at-digits", "quick", limit=10, catalog=catalog)
    b = rbench.evaluate("at-digits", "quick", limit=10, weights=tmp_path / "copy.safetensors", catalog=catalog)
    assert a.folder != b.folder
    assert a.samples.equals(b.samples)
    assert np.isfinite(a.samples.margin).all()


def test_a_misspelt_metric_does_not_wait_for_the_attacks(suite, tmp_path):
    suite()
    path = tmp_path / "shelf" / "suites" / "quick.toml"
    path.write_text(path.read_text().replace("rbench.metrics:worst_case", "rbench.metrics:worst_cse"))
    with pytest.raises(UsageError, match="Did you mean 'worst_case'"):
        rbench.evaluate("at-digits", "quick", limit=10, catalog=Catalog.find([tmp_path / "shelf"]))
    assert not (tmp_path / "runs").exists()


def test_another_score_needs_no_new_evidence(suite, tmp_path):
    rbench.evaluate("at-digits", "quick", limit=10, catalog=suite())
    path = tmp_path / "shelf" / "suites" / "quick.toml"
    path.write_text(path.read_text() + '[scores.both]\nuse = "rbench.metrics:worst_case"\nof = ["clean", "first"]\n')
    run = rbench.evaluate("at-digits", "quick", limit=10, catalog=Catalog.find([tmp_path / "shelf"]))
    assert run.fresh_blocks == 0
    assert run.scores["both"].n == 10


def test_a_metric_that_does_not_fit_its_probes_is_one_sentence(suite, tmp_path):
    suite()
    path = tmp_path / "shelf" / "suites" / "quick.toml"
    path.write_text(path.read_text().replace("rbench.metrics:worst_case", "rbench.metrics:accuracy"))
    with pytest.raises(UsageError, match=r"rbench\.metrics:accuracy cannot score the probes clean, first, second"):
        rbench.evaluate("at-digits", "quick", limit=10, catalog=Catalog.find([tmp_path / "shelf"]))


DATA_FROM_FOLDER = """
import os
from pathlib import Path
import numpy as np
from rbench.data.arrays import ArrayDataset

def load(split):
    value = int(Path(os.environ["RBENCH_DATA"], "value").read_text())
    return ArrayDataset("digits", 10, np.full((20, 3, 32, 32), value, dtype=np.uint8), np.arange(20) % 10)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_the_data_folder_holds_for_the_whole_evaluation(suite, tmp_path, workers):
    (tmp_path / "data.py").write_text(DATA_FROM_FOLDER)
    (tmp_path / "value").write_text("100")
    suite()
    path = tmp_path / "shelf" / "suites" / "quick.toml"
    path.write_text(path.read_text().replace("rbench.data.digits:digits", f"{tmp_path / 'data.py'}:load"))
    catalog = Catalog.find([tmp_path / "shelf"])
    run = rbench.evaluate("at-digits", "quick", data_dir=tmp_path, catalog=catalog, workers=workers)
    assert run.scores["clean"].n == 20


def test_a_loader_that_fails_is_one_sentence(suite, tmp_path, small_net):
    (tmp_path / "data.py").write_text(DATA_FROM_FOLDER)
    suite()
    path = tmp_path / "shelf" / "suites" / "quick.toml"
    path.write_text(path.read_text().replace("rbench.data.digits:digits", f"{tmp_path / 'data.py'}:load"))
    with pytest.raises(MissingError, match="cannot load its data: KeyError: 'RBENCH_DATA'"):
        rbench.evaluate(small_net, "quick", catalog=Catalog.find([tmp_path / "shelf"]))


def test_a_builder_without_a_seed_is_refused(suite, tmp_path):
    (tmp_path / "m.py").write_text("from rbench.models.linear import linear\ndef net():\n    return linear(3072, 10)\n")
    with pytest.raises(ModelError, match="builds another model each time"):
        rbench.evaluate(f"{tmp_path / 'm.py'}:net", "quick", limit=10, catalog=suite())


def test_a_table_does_not_show_what_another_code_made(suite, monkeypatch):
    catalog = suite()
    rbench.evaluate("at-digits", "quick", catalog=catalog)
    assert rbench.table("quick", catalog=catalog).count("--fresh") == 0
    monkeypatch.setattr("rbench.sheet.source_digest", lambda use: "0" * 64)
    assert "rbench eval --suite quick --model at-digits --fresh" in rbench.table("quick", catalog=catalog)


def test_the_public_names_stay_functions():
    import rbench.training.run

    assert all(
        callable(getattr(rbench, name)) for name in ("evaluate", "train", "table", "plan", "check", "load_model")
    )
