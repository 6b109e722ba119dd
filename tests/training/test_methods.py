"""Every method against corruptions, and the parts of a step that only some recipes have."""

from dataclasses import replace

import pytest
import torch

from rbench.errors import UsageError
from rbench.recipe import Augment, AugMix, Ews, Optimiser, Schedule
from rbench.training import keeping, loop
from rbench.training.ews.subnets import subnet_logits
from rbench.training.modes import untracked
from rbench.training.objectives import Objective, divergence
from rbench.training.pipeline import Pipeline
from rbench.training.setting import prepare
from rbench.training.step import Part, distillation_of, search, step
from rbench.types import Call

EWS = Ews(every=1, subset=0.2, subnets=2)
MIX = {"objective": Call("rbench.training.objectives:augmix"), "augmix": AugMix()}
METHODS = {
    "autoaugment": {"augment": Augment(pad=1, policy="cifar10")},
    "ews": {"ews": EWS},
    "ews-augmix": {**MIX, "ews": EWS},
}
STEADY = {
    "dropout": {"ews": EWS, "optimiser": Optimiser(lr=0.05, nesterov=True, clip=3.0)},
    "augmix": METHODS["ews-augmix"],
    "autoaugment": METHODS["autoaugment"],
}


def dropping(card, rate):
    return replace(card, arch=Call(card.arch.use, {**card.arch.args, "dropout": rate}))


@pytest.fixture(autouse=True)
def no_picture(monkeypatch):
    """Curves take longer to draw than these trainings take."""
    monkeypatch.setattr(keeping, "draw", lambda *_: b"")


@pytest.mark.parametrize("name", STEADY)
def test_an_interruption_changes_nothing(card, plain, tmp_path, monkeypatch, name):
    card, recipe = dropping(card, 0.3 if name == "dropout" else 0.0), replace(plain, epochs=2, **STEADY[name])
    whole = loop.train(card, recipe, out=tmp_path / "whole", progress=False)
    original = loop.step

    def step(setting, epoch, iteration, *rest):
        done = original(setting, epoch, iteration, *rest)
        if (epoch, iteration) == (1, 1):
            raise KeyboardInterrupt
        return done

    with monkeypatch.context() as patch:
        patch.setattr(loop, "step", step)
        with pytest.raises(KeyboardInterrupt):
            loop.train(card, recipe, out=tmp_path / "parts", progress=False)
    torch.manual_seed(99)  # no draw of the global generator may matter
    torch.rand(5)
    parts = loop.train(card, recipe, out=tmp_path / "parts", progress=False)
    assert parts.weights.read_bytes() == whole.weights.read_bytes()
    assert [replace(row, seconds=0, search=0) for row in parts.rows] == [
        replace(row, seconds=0, search=0) for row in whole.rows
    ]
    last = [torch.load(result.folder / "state.pt", weights_only=True)["model"] for result in (whole, parts)]
    assert all(torch.equal(last[0][key], last[1][key]) for key in last[0])
    assert (recipe.ews is not None) == (whole.rows[1].subnets is not None) == (whole.rows[0].distillation > 0)


@pytest.mark.parametrize(("name", "epochs"), [("autoaugment", 12), ("ews", 8), ("ews-augmix", 5)])
def test_methods_learn(card, plain, tmp_path, name, epochs):
    quick = {"epochs": epochs, "batch": 20, "optimiser": Optimiser(lr=0.1), "schedule": Schedule()}
    recipe = replace(plain, **{"augment": Augment(pad=1), **quick, **METHODS[name]})
    recipe = replace(recipe, ews=recipe.ews and replace(EWS, every=4))
    result = loop.train(card, recipe, out=tmp_path, progress=False)
    assert result.rows[-1].loss < 0.85 * result.rows[0].loss
    assert result.rows[-1].train > 0.25  # by chance it would be 0.1


def test_joint_views_share_their_statistics_and_single_ones_do_not(card, plain):
    setting = prepare(card, plain, 0)
    views = [torch.rand(6, 3, 32, 32), torch.rand(4, 3, 32, 32)[:2].repeat(3, 1, 1, 1) / 9]
    split = Objective(lambda *_: (), lambda *_: torch.zeros(()), shares=(0.5, 0.5))
    model = setting.model.train()
    with untracked(model, training=True):
        apart = split.logits(model, views)
        together = split._replace(joint=True).logits(model, views)
        assert all(torch.equal(a, model(view)) for a, view in zip(apart, views, strict=True))
        assert torch.equal(torch.cat(together), model(torch.cat(views)))
    assert [len(part) for part in together] == [6, 6]
    assert not torch.allclose(together[1], apart[1], atol=1e-2)


def test_subnets_learn_from_the_mean_over_the_views(card, plain):
    recipe = replace(plain, **METHODS["ews-augmix"], batch=30)
    setting = prepare(card, replace(recipe, ews=replace(EWS, lam=0.5)), 0)
    views = [torch.rand(6, 3, 32, 32) * scale for scale in (1.0, 0.5, 0.1)]
    logits = setting.objective.logits(setting.model, views)
    part = Part(tuple(views), torch.arange(6), 1.0)
    subnet = setting.enhancer.subnet(setting.model, 0, 1)
    found = distillation_of(setting, part, logits, subnet)
    students = subnet_logits(setting.model, torch.cat(views), subnet).chunk(3)
    parts = [divergence(whole, student) for whole, student in zip(logits, students, strict=True)]
    assert found.item() == pytest.approx(0.5 * sum(part.item() for part in parts) / 3, rel=1e-5)
    assert found.item() > 0
    assert distillation_of(setting, part, logits, None).item() == 0


def test_accuracy_counts_on_clean_images_and_the_controller_learns_on_them(card, plain, monkeypatch):
    setting = prepare(card, replace(plain, **METHODS["ews-augmix"]), 0)
    seen = []
    monkeypatch.setattr(setting.enhancer, "search", lambda _m, parts, *_: seen.append(parts[0][0]))
    search(setting, setting.enhancer, 1)
    clean = torch.from_numpy(setting.data.images(setting.searched[:40])).float() / 255
    assert torch.equal(seen[0], clean)


def one(setting, epoch, iteration):
    """One step on the first 40 images."""
    batch = Pipeline(setting.data, setting.recipe, setting.seed)[epoch, setting.fitted[:40]]
    return step(setting, epoch, iteration, [batch], 40)


def steps(card, recipe, count=1):
    setting = prepare(card, recipe, 0)
    before = [parameter.detach().clone() for parameter in setting.model.parameters()]
    for iteration in range(count):
        one(setting, 0, iteration)
    after = [parameter.detach() for parameter in setting.model.parameters()]
    return torch.cat([(b - a).flatten() for a, b in zip(before, after, strict=True)])


def test_clipping_cuts_the_gradient_to_its_norm_and_keeps_its_direction(card, plain):
    sgd = Optimiser(lr=0.1, momentum=0.0, weight_decay=0.0)
    free = steps(card, replace(plain, optimiser=sgd))
    assert free.norm() > 0.1 * 0.01
    cut = steps(card, replace(plain, optimiser=replace(sgd, clip=0.01)))
    assert cut.norm().item() == pytest.approx(0.1 * 0.01, rel=1e-3)
    assert torch.cosine_similarity(cut, free, dim=0).item() == pytest.approx(1, abs=1e-4)
    wide = steps(card, replace(plain, optimiser=replace(sgd, clip=1e6)))
    assert torch.equal(wide, free)
    with pytest.raises(UsageError, match=r"optimiser.clip = 0 must be greater than 0"):
        Optimiser(lr=0.1, clip=0)


def test_nesterov_looks_ahead_by_the_momentum(card, plain):
    sgd = Optimiser(lr=0.1, momentum=0.9, weight_decay=0.0)
    first = steps(card, replace(plain, optimiser=sgd))
    ahead = steps(card, replace(plain, optimiser=replace(sgd, nesterov=True)))
    assert torch.allclose(ahead, 1.9 * first, atol=1e-6)


def test_dropout_is_a_function_of_seed_epoch_and_iteration(card, plain):
    card = dropping(card, 0.5)

    def loss(epoch, iteration, other=0):
        setting = prepare(card, replace(plain, augment=Augment()), 0)
        torch.manual_seed(other)
        return one(setting, epoch, iteration)[0].item()

    assert loss(0, 0) == loss(0, 0, other=7)
    assert len({loss(0, 0), loss(0, 1), loss(1, 0)}) == 3
