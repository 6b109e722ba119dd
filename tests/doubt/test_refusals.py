"""Everything that an evaluation must refuse: one clear sentence, and nothing stored is lost."""

import shutil

import pytest
import torch
from quick import DATA_FROM_FOLDER, contents
from torch import nn

import rbench
from rbench.catalog import Catalog
from rbench.errors import (
    AttackError,
    InterruptedRunError,
    MissingError,
    ModelError,
    RbenchError,
    StoreError,
    UsageError,
)
from rbench.models.linear import linear


def test_a_worker_that_is_killed_is_one_sentence(suite, tmp_path):
    (tmp_path / "cheats.py").write_text(CHEATS)
    catalog = suite(f"{tmp_path / 'cheats.py'}:dies", "{}")
    with pytest.raises(InterruptedRunError, match=r"a worker process was killed.*fewer --workers") as caught:
        rbench.evaluate("at-digits", "quick", limit=40, batch=10, workers=2, catalog=catalog)
    assert caught.value.exit_code == 5


def test_a_card_whose_architecture_changed_is_refused_and_not_shown(suite, tmp_path):
    builtin = suite()
    zoo = tmp_path / "shelf" / "model_zoo"
    (zoo / "weights").mkdir(parents=True)
    weights, digest = builtin.weights(builtin.model("at-digits"))
    shutil.copy(weights, zoo / "weights" / weights.name)
    (zoo / "weights.lock").write_text(f'mine = "{digest}"\n')
    text = builtin.files("models")["at-digits"].read_text()
    (zoo / "mine.toml").write_text(text)
    catalog = Catalog.find([tmp_path / "shelf"])
    rbench.evaluate("mine", "quick", limit=10, catalog=catalog)
    assert "--model mine" not in rbench.table("quick", limit=10, catalog=catalog)
    (zoo / "mine.toml").write_text(text.replace("mean = [0.305", "mean = [0.3"))
    with pytest.raises(StoreError, match=r"its arch\.args\.mean is"):
        rbench.evaluate("mine", "quick", limit=10, catalog=catalog)
    assert "--model mine --limit 10 --fresh" in rbench.table("quick", limit=10, catalog=catalog)


def test_an_error_in_a_worker_arrives_whole(suite, tmp_path):
    (tmp_path / "cheats.py").write_text(CHEATS)
    catalog = suite(f"{tmp_path / 'cheats.py'}:crash", "{}")
    with pytest.raises(AttackError, match=r"attack 'second' crashed on samples .*RuntimeError: out of luck"):
        rbench.evaluate("at-digits", "quick", limit=40, batch=10, workers=2, catalog=catalog)


CHEATS = """
import os
import torch

def dies(model, x, y, threat, *, rng):
    os._exit(1)

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
        ("classes", r"tells 11 classes apart, .* has 10\. Give its last layer 10 outputs"),
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
    with pytest.raises(StoreError, match=r"its code\..*cheats\.py:late is"):
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


def test_a_misspelt_metric_does_not_wait_for_the_attacks(suite, tmp_path):
    suite()
    path = tmp_path / "shelf" / "suites" / "quick.toml"
    path.write_text(path.read_text().replace("rbench.metrics:worst_case", "rbench.metrics:worst_cse"))
    with pytest.raises(UsageError, match="Did you mean 'worst_case'"):
        rbench.evaluate("at-digits", "quick", limit=10, catalog=Catalog.find([tmp_path / "shelf"]))
    assert not (tmp_path / "runs").exists()


def test_a_metric_that_does_not_fit_its_probes_is_one_sentence(suite, tmp_path):
    suite()
    path = tmp_path / "shelf" / "suites" / "quick.toml"
    path.write_text(path.read_text().replace("rbench.metrics:worst_case", "rbench.metrics:accuracy"))
    with pytest.raises(UsageError, match=r"rbench\.metrics:accuracy cannot score the probes clean, first, second"):
        rbench.evaluate("at-digits", "quick", limit=10, catalog=Catalog.find([tmp_path / "shelf"]))


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
