"""Presets, overrides and several models at once."""

import math

import pytest

from rbench import api
from rbench.catalog import Catalog
from rbench.cli import run as command
from rbench.cli.training import parsed
from rbench.errors import UsageError
from rbench.recipe import Augment, Awp, Ews, InnerAttack, Optimiser, Recipe, Schedule
from rbench.training.run import training
from rbench.training.setting import prepare
from rbench.types import Call, Threat

CATALOG = Catalog.find()


def test_overrides_reach_the_recipe_at_any_depth():
    changed = CATALOG.recipe("ews-digits", override={"ews.rho": 0.7, "attack.threat.eps": "8/255", "epochs": 3})
    assert (changed.ews.rho, changed.attack.threat.eps, changed.epochs) == (0.7, "8/255", 3)
    assert changed.ews.lam == CATALOG.recipe("ews-digits").ews.lam
    assert CATALOG.recipe("at-digits", override={"ews.rho": 0.5}).ews == Ews()  # a table that was not there


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"ews.rhoo": 0.7}, r"no key named 'rhoo' in \[ews\].* Did you mean 'rho'\?"),
        ({"ews.rho": 7}, "ews.rho = 7.0 must be greater than 0 and at most 1"),
        ({"ews.rho": "wide"}, "ews.rho: .* valid number"),
        ({"epochs.more": 1}, "'epochs.more' cannot be changed: 'epochs' is no table"),
    ],
)
def test_overrides_that_the_recipe_does_not_admit(override, message):
    with pytest.raises(UsageError, match=message):
        CATALOG.recipe("ews-digits", override=override)


def test_presets_come_before_overrides():
    recipe = CATALOG.recipe("ews-cifar10", preset="released", override={"ews.rho": 0.8})
    assert (recipe.ews.rho, recipe.ews.lam, recipe.ews.every_steps) == (0.8, 0.1, 10)
    with pytest.raises(UsageError, match=r"no preset named 'relesed' in recipe 'ews-cifar10'.*'released'\?"):
        CATALOG.recipe("ews-cifar10", preset="relesed")


def test_words_become_values():
    words = ["ews.rho=0.7", "epochs=3", "augment.flip=true", "schedule.milestones=[1, 2]", "ews.strategy=l1-norm"]
    found = parsed([*words, 'attack.threat.eps="8/255"', "objective.use=a.b:c=d"])
    assert found == {
        "ews.rho": 0.7, "epochs": 3, "augment.flip": True, "schedule.milestones": [1, 2], "ews.strategy": "l1-norm",
        "attack.threat.eps": "8/255", "objective.use": "a.b:c=d",
    }  # fmt: skip
    for word in ("ews.rho", "=3"):
        with pytest.raises(UsageError, match=r"is no key=value; write, say, --override ews.rho=0.7"):
            parsed([word])


def test_changed_trainings_have_folders_of_their_own_and_are_not_published(shelf, tmp_path):
    catalog = Catalog((shelf,))
    plain = training(catalog, "tiny-plain", tmp_path)
    assert plain.folder == tmp_path / "tiny-plain" / "seed0"
    assert plain.published
    slow = training(catalog, "tiny-plain", tmp_path, preset="slow", override={"batch": 50})
    assert slow.folder == tmp_path / "tiny-plain" / "slow+batch=50" / "seed0"
    assert (slow.recipe.optimiser.lr, slow.recipe.epochs, slow.recipe.batch) == (0.01, 3, 50)
    assert not slow.published
    long = training(catalog, "tiny-plain", tmp_path, override={"data.use": "x" * 70 + ".y:z", "epochs": 3})
    other = training(catalog, "tiny-plain", tmp_path, override={"data.use": "x" * 70 + ".y:w", "epochs": 3})
    assert len(long.folder.parent.name) < 80
    assert long.folder != other.folder


def test_several_models_train_at_once_and_are_published(shelf, tmp_path, capsys):
    words = ["train", "tiny-*", "--catalog", str(shelf), "--out", str(tmp_path), "--jobs", "2"]
    assert command(words) == 0
    out, err = capsys.readouterr()
    assert [line.split(",")[0] for line in out.splitlines()] == ["tiny-plain", "tiny-whole"]
    assert "of 2 models done" in err
    weights = shelf / "model_zoo" / "weights"
    assert sorted(path.name for path in weights.iterdir()) == ["tiny-plain.safetensors", "tiny-whole.safetensors"]
    one = api.train("tiny-plain", out=tmp_path / "alone", catalog=Catalog((shelf,)))
    assert one.weights.read_bytes() == (weights / "tiny-plain.safetensors").read_bytes()
    assert one.summary["best"] == {"epoch": one.best.epoch, "clean": one.best.clean, "robust": None}
    assert str(one).startswith(f"tiny-plain, seed 0: epoch {one.best.epoch}, ")


def test_a_pattern_that_means_nothing(shelf):
    with pytest.raises(UsageError, match=r"no model named 'tyni-\*'"):
        api.train_all(["tyni-*"], catalog=Catalog((shelf,)))


def test_torchrun_trains_one_model_at_a_time(shelf, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="torchrun trains one model at a time; name one"):
        api.train_all(["tiny-*"], catalog=Catalog((shelf,)))


def test_logs_that_there_are_not(shelf, tmp_path):
    with pytest.raises(UsageError, match=r"no tracker named 'tensorbord'. Did you mean 'tensorboard'\?"):
        api.train("tiny-plain", out=tmp_path, track=("tensorbord",), catalog=Catalog((shelf,)))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"attack": InnerAttack(Threat("linf", "8/255"))}, r"a table \[attack\], which its objective .* does not read"),
        ({"augment": Augment(area=(0.1, 1.0))}, "augment.area crops image files; 'small' is none"),
    ],
)
def test_parts_that_do_not_go_together(card, plain, keys, message, tmp_path):
    from dataclasses import replace

    from rbench.training import loop

    with pytest.raises(UsageError, match=message):
        loop.train(card, replace(plain, **keys), out=tmp_path, progress=False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Optimiser(lr=0), "optimiser.lr = 0 must be greater than 0"),
        (lambda: Schedule(milestones=(3, 2)), r"schedule.milestones = \[3, 2\] must ascend"),
        (lambda: Schedule(kind="cosine", milestones=(3,)), "milestones belong to kind = 'steps'"),
        (lambda: Schedule(warmup_from=0.01), "schedule.warmup_from is where a rise starts; give its length"),
        (lambda: Schedule(warmup=2, warmup_from=0), "schedule.warmup_from = 0 must be greater than 0"),
        (lambda: Schedule(kind="cosine", to=-0.1), "schedule.to = -0.1 must be at least 0"),
        (lambda: Schedule(to=0.1), "schedule.to is where a cosine ends; with kind = 'steps' there is none"),
        (lambda: Augment(cutout=-2), "augment.cutout = -2 must be at least 0"),
        (lambda: Augment(area=(0.5, 0.1)), "augment.area = .* the smaller one first"),
        (lambda: Augment(area=(0.1, 0.5), pad=1), "augment.pad and augment.area are two ways to crop"),
        (lambda: Awp(0.0), "awp.gamma = 0.0 must be greater than 0"),
        (lambda: InnerAttack(Threat("linf", "8/255"), steps=0), "attack.steps = 0 must be at least 1"),
        (lambda: Ews(strategy="random", every_steps=3), "every_steps is for a controller, and strategy = 'random' has"),
        (lambda: Ews(loss="ce", kl="mean"), "with loss = 'ce' there is none"),
        (lambda: Ews(subnets=0), "ews.subnets = 0 must be at least 1"),
    ],
)
def test_impossible_values_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def recipe_of(**keys):
    given = {"name": "r", "data": Call("a:b"), "objective": Call("a:b"), "epochs": 10, "batch": 8, "holdout": 2}
    return Recipe(**given, optimiser=Optimiser(0.1), **keys)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"awp": Awp(0.01, warmup=10)}, "awp.warmup = 10 must be less than epochs = 10"),
        ({"schedule": Schedule(warmup=12)}, "schedule.warmup = 12 must be less than epochs = 10"),
        ({"attack": InnerAttack(Threat("linf", "8/255"), warmup=10)}, "attack.warmup = 10 must be less than epochs"),
        ({"schedule": Schedule(kind="cosine", to=0.2)}, "schedule.to = 0.2 must not exceed optimiser.lr = 0.1"),
        ({"label_smoothing": 1.0}, "label_smoothing = 1.0 must be at least 0 and less than 1"),
        ({"threads": 0}, "threads = 0 must be at least 1"),
    ],
)
def test_impossible_recipes_are_refused(keys, message):
    with pytest.raises(UsageError, match=message):
        recipe_of(**keys)


def test_learning_rates_by_hand():
    steps = recipe_of(schedule=Schedule(milestones=(4, 6), gamma=0.5, warmup=2))
    assert [steps.rate(epoch) for epoch in range(8)] == pytest.approx([0.05, 0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025])
    cosine = recipe_of(schedule=Schedule(kind="cosine", warmup=1))
    assert [cosine.rate(epoch) for epoch in (0, 5)] == pytest.approx([0.1, 0.05])
    assert 0 < cosine.rate(9) < 0.01
    floor = recipe_of(schedule=Schedule(kind="cosine", to=0.02))
    assert [floor.rate(epoch) for epoch in (0, 5)] == pytest.approx([0.1, 0.06])
    rise = recipe_of(schedule=Schedule(kind="cosine", to=0.02, warmup=4, warmup_from=0.02))
    assert [rise.rate(epoch) for epoch in (0, 1, 2, 3, 4, 7)] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1, 0.06])
    assert rise.rate(10) == pytest.approx(0.02)  # which no epoch has any more
    steps = recipe_of(schedule=Schedule(milestones=(4,), warmup=2, warmup_from=0.06))
    assert [steps.rate(epoch) for epoch in (0, 1, 2, 4)] == pytest.approx([0.06, 0.08, 0.1, 0.01])


def test_what_recipes_said_before_there_was_a_floor_is_what_they_say():
    cosine = recipe_of(schedule=Schedule(kind="cosine"))
    assert [cosine.rate(epoch) for epoch in range(10)] == [
        0.1 * (1 + math.cos(math.pi * k / 10)) / 2 for k in range(10)
    ]


def test_adamw_is_the_other_optimiser(card, plain):
    from dataclasses import replace

    import torch

    setting = prepare(card, replace(plain, optimiser=Optimiser(lr=0.01, kind="adamw", weight_decay=0.1)), 0)
    assert isinstance(setting.optimiser, torch.optim.AdamW)
    assert setting.optimiser.param_groups[0]["weight_decay"] == 0.1
