import hashlib
import tomllib
from dataclasses import replace

import pytest

from rbench.catalog import Catalog
from rbench.errors import StoreError, UsageError
from rbench.training.publish import lock_text
from rbench.training.run import run, training

CARD = """
title = "Tiny"
dataset = "digits"
weights = "tiny-1.safetensors"
[arch]
use = "rbench.models.preact_resnet:preact_resnet_small"
args = { classes = 10, mean = [0.3, 0.3, 0.3], std = [0.3, 0.3, 0.3], width = 2 }
"""
RECIPE = """
seed = 3
epochs = 1
batch = 400
holdout = 97
data = { use = "rbench.data.digits:digits" }
objective = { use = "rbench.training.objectives:standard" }
optimiser = { lr = 0.1 }

[presets.slow]
"optimiser.lr" = 0.01
epochs = 2
"""


@pytest.fixture
def catalog(tmp_path):
    shelf = tmp_path / "catalog" / "model_zoo"
    (shelf / "recipes").mkdir(parents=True)
    (shelf / "tiny.toml").write_text('recipe = "tiny-recipe"\n' + CARD)
    (shelf / "bare.toml").write_text(CARD)
    (shelf / "recipes" / "tiny-recipe.toml").write_text(RECIPE)
    return Catalog((tmp_path / "catalog",))


def test_own_seed_is_published_with_its_digest(catalog, tmp_path):
    shelf = tmp_path / "catalog" / "model_zoo"
    (shelf / "weights.lock").write_text('older = "00"\n"odd name" = "11"\n')
    result = run(catalog, training(catalog, "tiny", tmp_path / "runs"), progress=False)
    assert result.seed == 3
    assert result.weights == tmp_path / "runs" / "tiny" / "seed3" / "weights.safetensors"
    published = shelf / "weights" / "tiny-1.safetensors"
    assert result.published == published
    assert published in result.files
    assert published.read_bytes() == result.weights.read_bytes()
    text = (shelf / "weights.lock").read_text()
    digest = hashlib.sha256(published.read_bytes()).hexdigest()
    assert tomllib.loads(text) == {"older": "00", "odd name": "11", "tiny": digest}
    assert catalog.weights(catalog.model("tiny")) == (published, digest)
    assert text.splitlines()[0] == "# The sha256 of the weights of each model; written by `rbench train`."
    assert [path.name for path in (shelf / "weights").iterdir()] == ["tiny-1.safetensors"]


def test_other_seeds_stay_in_their_folder(catalog, tmp_path):
    result = run(catalog, training(catalog, "tiny", tmp_path / "runs", seed=4), progress=False)
    assert result.published is None
    assert result.weights.parent.name == "seed4"
    assert result.weights.is_file()
    shelf = tmp_path / "catalog" / "model_zoo"
    assert not (shelf / "weights").exists()
    assert not (shelf / "weights.lock").exists()


def test_shelf_that_cannot_be_written(catalog, tmp_path):
    (tmp_path / "catalog" / "model_zoo" / "weights").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot publish to the shelf .*; the weights stay in .*seed3"):
        run(catalog, training(catalog, "tiny", tmp_path / "runs"), progress=False)
    assert (tmp_path / "runs" / "tiny" / "seed3" / "weights.safetensors").is_file()


def test_model_without_a_recipe(catalog, tmp_path):
    with pytest.raises(UsageError, match="model 'bare' names no recipe"):
        run(catalog, training(catalog, "bare", tmp_path), progress=False)


def test_lock_is_sorted():
    lines = lock_text({"b": "2", "a.c": "3", "a": "1"}).splitlines()[1:]
    assert lines == ['a = "1"', '"a.c" = "3"', 'b = "2"']


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lr = 0.1", "lr = 0.1, lrr = 0.1", r"no key named 'lrr' in \[optimiser\].*Did you mean 'lr'\?"),
        ("epochs = 1", "epochs = 0", "epochs = 0 must be at least 1"),
        ("lr = 0.1 }", "lr = 0.1 }\news = { rho = 0.0 }", "ews.rho = 0.0 must be greater than 0"),
        ("lr = 0.1 }", "lr = 0.1 }\news = { rhoo = 0.5 }", r"no key named 'rhoo' in \[ews\].*Did you mean 'rho'\?"),
        ("lr = 0.1 }", 'lr = 0.1 }\nattack = { threat = { norm = "linf", eps = "24" } }', r"Did you mean '24/255'\?"),
    ],
)
def test_mistakes_in_a_recipe_are_named(catalog, tmp_path, old, new, message):
    path = tmp_path / "catalog" / "model_zoo" / "recipes" / "tiny-recipe.toml"
    path.write_text(RECIPE.replace(old, new))
    with pytest.raises(UsageError, match=message):
        catalog.recipe("tiny-recipe")


def test_result_without_publication_lists_its_files(catalog, tmp_path):
    result = run(catalog, training(catalog, "tiny", tmp_path, seed=5), progress=False)
    assert replace(result, published=None).files == result.files
    assert all(path.is_file() for path in result.files)
