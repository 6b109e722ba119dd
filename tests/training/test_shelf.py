import hashlib
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch

from rbench.catalog import Catalog, bind, resolve

CATALOG = Catalog.find()
MODELS, RECIPES = sorted(CATALOG.files("models")), sorted(CATALOG.files("recipes"))
SHELF = CATALOG.files("models")["at-digits"].parent
LOCKED = sorted(tomllib.loads((SHELF / "weights.lock").read_text()))


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_loads_and_everything_it_names_exists(name):
    recipe = CATALOG.recipe(name)
    assert callable(bind(recipe.data, given=["split"]))
    assert "split" not in recipe.data.args  # the trainer asks for the training split and no other
    objective = bind(recipe.objective, given=["recipe"])(recipe=recipe)
    assert len(objective.shares) == (1 if recipe.augmix is None else 3)
    assert sum(objective.shares) == pytest.approx(1)
    assert all(milestone < recipe.epochs for milestone in recipe.optimiser.milestones)


@pytest.mark.parametrize("name", MODELS)
def test_card_names_a_recipe_and_an_architecture(name):
    card = CATALOG.model(name)
    assert callable(resolve(card.arch.use))
    assert callable(bind(card.arch))
    if card.recipe is not None:
        assert card.recipe in RECIPES


@pytest.mark.parametrize(
    ("bare", "enhanced"),
    [
        ("at-digits", "ews-digits"),
        ("at-wrn34", "ews-wrn34"),
        ("standard-digits", "ews-std-digits"),
        ("augmix-digits", "ews-augmix-digits"),
    ],
)
def test_enhanced_and_bare_recipes_differ_in_the_subnets_alone(bare, enhanced):
    without, with_subnets = CATALOG.recipe(bare), CATALOG.recipe(enhanced)
    assert without.ews is None
    assert with_subnets.ews is not None
    assert replace(with_subnets, ews=None, name=bare) == without
    assert CATALOG.model(bare).arch == CATALOG.model(enhanced).arch


def test_methods_against_corruptions_differ_from_standard_training_in_the_method_alone():
    standard, augmix = CATALOG.recipe("standard-digits"), CATALOG.recipe("augmix-digits")
    assert replace(augmix, augmix=None, objective=standard.objective, name=standard.name) == standard
    assert CATALOG.recipe("ews-std-digits").ews == CATALOG.recipe("ews-digits").ews
    plain, dropout = CATALOG.model("standard-digits"), CATALOG.model("dropout-digits")
    assert dropout.recipe == plain.recipe
    assert dropout.arch.args == {**plain.arch.args, "dropout": 0.1}
    assert CATALOG.model("augmix-digits").arch == plain.arch


def test_digits_are_never_mirrored():
    assert not any(CATALOG.recipe(name).augment.flip for name in RECIPES if name.endswith("-digits"))


def test_recipe_of_the_paper():
    recipe = CATALOG.recipe("ews-wrn34")
    assert (recipe.epochs, recipe.batch, recipe.augment.pad, recipe.augment.flip) == (200, 128, 4, True)
    assert [recipe.optimiser.rate(epoch) for epoch in (0, 99, 100, 150)] == pytest.approx([0.1, 0.1, 0.01, 0.001])
    assert (recipe.attack.threat.eps, recipe.attack.steps, recipe.attack.rel_step) == ("8/255", 10, "1/4")
    assert (recipe.ews.rho, recipe.ews.lam, recipe.ews.every, recipe.ews.subset, recipe.ews.subnets) == (
        0.5,
        1,
        10,
        0.1,
        8,
    )


@pytest.mark.parametrize(
    ("name", "values"), [("at-wrn34", (85.26, 54.61, 52.53)), ("ews-wrn34", (85.67, 55.96, 53.42))]
)
def test_reported_numbers_are_accuracies(name, values):
    reported = CATALOG.model(name).reported
    assert tuple(entry.value for entry in reported) == values
    for entry in reported:
        assert float(entry.source.rsplit(" ", 1)[1]) == pytest.approx(100 - entry.value)


@pytest.mark.parametrize("name", LOCKED)
def test_committed_weights_are_the_locked_ones_and_fit_their_architecture(name):
    card = CATALOG.model(name)
    path, digest = CATALOG.weights(card)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    assert path.stat().st_size < 1e6
    bind(card.arch)().load_state_dict(safetensors.torch.load_file(path))


def test_every_committed_checkpoint_is_locked():
    files = {CATALOG.weights(CATALOG.model(name))[0] for name in LOCKED}
    assert set(Path(SHELF / "weights").glob("*.safetensors")) == files
    assert {name for name in MODELS if name.endswith("-digits")} <= set(LOCKED)
