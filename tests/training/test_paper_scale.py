"""One real step of every paper-scale card, on noise in the shape of its data, and what a dry run says of it.

Sizes at full width are counted elsewhere; one card of every family takes its step at full width here, too.
"""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from cards import CARDS as ALL
from cards import CATALOG, need
from narrow import narrow

from rbench import api
from rbench.cli import run as command
from rbench.data.synthetic import SHAPES, synthetic
from rbench.errors import UsageError
from rbench.training import dry
from rbench.training.pipeline import Pipeline
from rbench.training.setting import prepare
from rbench.training.step import step

CARDS = {name: card for name, card in ALL.items() if not name.endswith("-digits") and card.recipe is not None}
WIDE = [  # beside ews-wrn34
    "ews-trades-awp-prn18",
    "standard-resnet50-imagenet",
    "mtard-resnet34-cifar100",
    "semirobust4-resnet18-cifar10",
    "awnet-cifar10",
    "robnet-large-denoise-cifar10",
]


@pytest.mark.parametrize("name", CARDS)
def test_a_step_of_the_card(name, monkeypatch):
    narrow(monkeypatch)
    take_a_step(name)


@pytest.mark.parametrize("name", WIDE)
def test_a_step_of_the_card_at_full_width(name):
    take_a_step(name)


def take_a_step(name):
    """With two images and, to save minutes, two steps of the inner attack: everything else as the recipe has it."""
    card = CARDS[name]
    need(card)
    recipe = CATALOG.recipe(card.recipe)
    if recipe.attack is not None:
        recipe = replace(recipe, attack=replace(recipe.attack, steps=2))
    setting = prepare(card, recipe, 0, data=synthetic(card.dataset), rehearsal=True)
    epoch = recipe.full
    before = [parameter.detach().clone() for parameter in setting.model.parameters()]
    batch = Pipeline(setting.data, recipe, 0)[epoch, setting.fitted[:2]]
    assert batch.x.shape == (2, 3, *[SHAPES[card.dataset][2]] * 2)
    assert len(batch.mixed) == (2 if recipe.augmix else 0)
    sums = step(setting, epoch, 1, [batch], 2)
    assert torch.isfinite(sums).all()
    assert sums[0] > 0
    assert (sums[1] > 0) == (recipe.ews is not None)
    after = list(setting.model.parameters())
    moved = {id(new): not torch.equal(old, new) for old, new in zip(before, after, strict=True)}
    # Of routers whose heads begin at zero some move from the second step on.
    assert np.mean([moved[id(new)] for new in after if new.requires_grad]) > 0.8
    frozen = [moved[id(new)] for new in after if not new.requires_grad]
    assert not any(frozen)
    assert bool(frozen) == (recipe.parts is not None)
    assert all(torch.isfinite(parameter).all() for parameter in setting.model.parameters())


def test_the_full_step_of_the_card_that_everything_is_for():
    card = CARDS["ews-wrn34"]
    recipe = CATALOG.recipe(card.recipe)
    assert recipe.attack.steps == 10
    setting = prepare(card, recipe, 0, data=synthetic("cifar10"))
    assert (len(setting.fitted), len(setting.held_out), len(setting.searched)) == (49_000, 1000, 4900)
    assert setting.batches == 383
    batch = Pipeline(setting.data, recipe, 0)[0, setting.fitted[:2]]
    assert torch.isfinite(step(setting, 0, 0, [batch], 2)).all()


def test_a_dry_run_says_what_a_training_would_take(capsys):
    assert command(["train", "at-digits", "--dry-run", "--override", "attack.steps=1", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["parameters"], found["images"], found["epochs"], found["steps"]) == (77_850, 1100, 60, 660)
    assert found["timed"] <= found["batch"] == 100
    assert found["hours"] == pytest.approx(found["seconds"] * 660 / 3600)
    assert found["memory"] > 100e6
    (found,) = api.estimate(["standard-digits"])
    text = str(found)
    assert "77,850 parameters" in text
    assert "660 steps of 100" in text
    assert "s a step" in text


def test_a_cpu_times_as_much_of_a_batch_as_its_patience_allows(monkeypatch):
    asked = []

    def one(setting, size, iteration):
        asked.append((size, iteration))
        return 0.5 * size  # seconds

    def search(setting, enhancer, epoch):
        asked.append((len(setting.searched), epoch))

    clock = itertools.count()
    monkeypatch.setattr(dry, "_one", one)
    monkeypatch.setattr(dry, "search", search)
    monkeypatch.setattr(dry, "_now", lambda _setting: next(clock))
    (found,) = api.estimate("ews-wrn34")
    assert [size for size, _ in asked[:-4]] == [2, 4, 8, 16]  # 32 would take 16 s a step, more than a minute in all
    assert asked[-4:] == [(16, 1), (16, 2), (16, 3), (16, 0)]
    assert found.timed == 16
    assert found.seconds == pytest.approx(64)
    assert found.searching == pytest.approx(19 * 4900 / 16)  # every 10 of 200 epochs but the first, on 4,900 images
    assert found.hours == pytest.approx((200 * 383 * 64 + found.searching) / 3600)
    said = f"64 s a step (timed with 16 of the 128 images of a batch), {found.hours:,.1f} h, 97 min of it searches"
    assert said in str(found)
    assert dry._cores(1) == "CPU, 1 thread"
    assert dry._cores(2) == "CPU, 2 threads"


def test_noise_is_a_function_of_the_index():
    data = synthetic("tiny-imagenet")
    assert data.images(np.array([5, 3])).shape == (2, 3, 64, 64)
    assert np.array_equal(data.images(np.array([5, 3]))[1], data.images(np.array([3]))[0])
    assert not np.array_equal(data.images(np.array([3])), data.images(np.array([5])))
    assert (data.classes, len(data.labels), data.labels.max()) == (200, 100_000, 199)
    assert data.digest != synthetic("cifar10").digest
    with pytest.raises(UsageError, match=r"no dataset named 'cifar11' in the list of shapes\. Did you mean 'cifar10"):
        synthetic("cifar11")
