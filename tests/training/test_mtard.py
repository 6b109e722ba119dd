"""Distillation from two teachers: losses and weights by hand, who may teach, and what a training keeps."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from rbench import api
from rbench.catalog import Catalog
from rbench.errors import MissingError, StoreError, UsageError
from rbench.recipe import Awp, Ews, InnerAttack
from rbench.training import loop
from rbench.training.mtard import LossWeights, distillation
from rbench.training.pipeline import Pipeline
from rbench.training.setting import prepare
from rbench.training.step import Part, loss_of, step
from rbench.training.teachers import taught_by
from rbench.types import Call, Threat

THREAT = Threat("linf", "24/255")
TEACHERS = {"clean": "standard-digits", "robust": "at-digits"}


@pytest.fixture
def distilled(recipe):
    """MTARD with the teachers of the shelf; otherwise the recipe of the other tests, without subnets."""
    attack = InnerAttack(THREAT, steps=2, rel_step="1/2", start="normal", mode="eval")
    return replace(recipe, objective=Call("rbench.training.mtard:mtard", TEACHERS), attack=attack, ews=None)


def changed(recipe, **args):
    return replace(recipe, objective=Call(recipe.objective.use, {**TEACHERS, **args}))


def by_hand(student, teacher, tau):
    """Sum by sum, in plain Python."""
    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        p = [math.exp(v / tau) for v in t]
        q = [math.exp(v / tau) for v in s]
        p, q = [v / sum(p) for v in p], [v / sum(q) for v in q]
        total += sum(a * (math.log(a + 1e-5) - math.log(b)) for a, b in zip(p, q, strict=True))
    return tau**2 * total / (10 * len(student))


@pytest.mark.parametrize("tau", [1.0, 5.0])
@pytest.mark.parametrize("classes", [10, 100])
def test_the_loss_by_hand(tau, classes):
    rng = torch.Generator().manual_seed(0)
    logits = [3 * torch.randn(4, classes, generator=rng, dtype=torch.float64) for _ in range(4)]
    memory = LossWeights(tau, 0.025)
    memory.weights = torch.tensor([0.3, 0.7], dtype=torch.float64)
    expected = [by_hand(logits[0], logits[2], tau), by_hand(logits[1], logits[3], tau)]
    assert memory.losses(logits).tolist() == pytest.approx(expected, abs=1e-9)
    assert memory.loss(logits).item() == pytest.approx(0.3 * expected[0] + 0.7 * expected[1], abs=1e-9)


def test_a_loss_of_numbers():
    """Two classes: the teacher gives 3/4 and 1/4, the student 1/2 each, so that KL = ln 2 - H(1/4)."""
    teacher, student = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)
    kl = math.log(2) + 0.75 * math.log(0.75) + 0.25 * math.log(0.25)
    assert distillation(student, teacher, 1.0).item() == pytest.approx(kl / 10, abs=1e-5)
    assert distillation(teacher, teacher, 1.0).item() == pytest.approx(0, abs=1e-5)


def test_the_gradient_is_that_of_the_divergence():
    student = torch.randn(5, 10, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(5, 10, dtype=torch.float64)
    (found,) = torch.autograd.grad(distillation(student, teacher, 2.0), student)
    kl = F.kl_div(F.log_softmax(student / 2, 1), F.softmax(teacher / 2, 1), reduction="batchmean")
    (expected,) = torch.autograd.grad(4 * kl / 10, student)
    assert torch.allclose(found, expected, atol=1e-12)


def test_weights_of_three_steps_by_hand():
    """Losses (2, 1), (1, 1), (0.5, 2) and eta = 0.025, at a tenth of it in the third step."""
    memory, found = LossWeights(1.0, 0.025), []
    for losses, pace in (((2.0, 1.0), 1.0), ((1.0, 1.0), 1.0), ((0.5, 2.0), 0.1)):
        memory.learn(torch.tensor(losses, dtype=torch.float64), pace)
        found.append(memory.weights.tolist())
    two = 0.5 - 0.025 * (0.5 - 0.5 / 1.5)  # the clean loss was halved, the other one not
    three = two - 0.0025 * (two - 0.25 / 2.25)
    assert found == [pytest.approx([a, 1 - a], abs=1e-12) for a in (0.5, two, three)]
    assert memory.first.tolist() == [2, 1]


def test_parts_of_a_batch_count_by_their_shares():
    memory = LossWeights(1.0, 0.025)
    one, two = ([torch.randn(n, 10) for _ in range(4)] for n in (4, 12))
    memory.note(one, 0.25)
    memory.note(two, 0.75)
    whole = memory.losses([torch.cat(pair) for pair in zip(one, two, strict=True)])
    assert torch.allclose(memory.noted(torch.device("cpu")), whole.double(), atol=1e-6)
    assert memory.noted(torch.device("cpu")).tolist() == [0, 0]


def test_a_student_that_is_its_own_teacher_has_weights_still():
    memory = LossWeights(1.0, 0.025)
    for _ in range(2):
        memory.learn(torch.zeros(2, dtype=torch.float64), 1.0)
    assert memory.weights.tolist() == [0.5, 0.5]


def batch_of(setting, count=12):
    return Pipeline(setting.data, setting.recipe, 0)[0, setting.fitted[:count]]


def test_each_teacher_sees_its_own_view(card, distilled):
    found = prepare(card, distilled, 0)
    batch = batch_of(found)
    views = (batch.x, (batch.x + 0.1).clamp(0, 1))
    loss, logits = loss_of(found, Part(views, batch.y, 1.0))
    clean, robust = (api.load_model(name) for name in TEACHERS.values())
    with torch.no_grad():
        assert torch.equal(logits[2], clean(views[0]))
        assert torch.equal(logits[3], robust(views[1]))
    expected = 0.5 * sum(by_hand(logits[i].double(), logits[i + 2].double(), 1.0) for i in (0, 1))
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    assert not any(parameter.requires_grad for each in found.teachers for parameter in each.network.parameters())


def test_a_step_learns_weights_of_its_own_losses(card, distilled):
    found = prepare(card, replace(distilled, awp=Awp(0.01)), 0)
    memory, batch = found.objective.memory, batch_of(found)
    before = memory.weights.clone()
    step(found, 0, 0, [batch], 12)
    assert torch.equal(memory.weights, before)  # the first step has nothing to compare with
    first = memory.first.clone()
    assert (first > 0).all()
    step(found, 0, 1, [batch], 12)
    assert not torch.equal(memory.weights, before)
    assert torch.equal(memory.first, first)
    assert memory.weights.sum().item() == pytest.approx(1)


def test_the_pace_falls_as_the_learning_rate_does(card, distilled, monkeypatch):
    found, paces = prepare(card, distilled, 0), []
    monkeypatch.setattr(found.objective.memory, "learn", lambda _noted, pace: paces.append(pace))
    for epoch in (0, 2, 3):
        step(found, epoch, 0, [batch_of(found)], 12)
    assert paces == pytest.approx([1, 1, 0.1])


def test_an_interrupted_distillation_ends_with_the_same_bytes(card, distilled, tmp_path):
    recipe = replace(distilled, epochs=3)
    whole = loop.train(card, recipe, out=tmp_path / "whole", progress=False)
    original, stops = loop.step, [(1, 1)]

    def stopping(given, epoch, iteration, *rest):
        done = original(given, epoch, iteration, *rest)
        if (epoch, iteration) in stops:
            stops.remove((epoch, iteration))
            raise KeyboardInterrupt
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "step", stopping)
        with pytest.raises(KeyboardInterrupt):
            loop.train(card, recipe, out=tmp_path / "parts", progress=False)
    parts = loop.train(card, recipe, out=tmp_path / "parts", progress=False)
    assert parts.weights.read_bytes() == whole.weights.read_bytes()
    states = [torch.load(result.folder / "state.pt", weights_only=True)["memory"] for result in (whole, parts)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in ("weights", "first"))
    assert states[0]["weights"].tolist() != [0.5, 0.5]


def test_a_training_goes_on_with_its_own_teachers_only(card, distilled, tmp_path):
    recipe = replace(distilled, epochs=1)
    loop.train(card, recipe, out=tmp_path, progress=False)
    with pytest.raises(StoreError, match="belongs to another training"):
        loop.train(card, changed(recipe, robust="ews-digits"), out=tmp_path, progress=False)


def test_subnets_are_distilled_beside_teachers(card, distilled):
    found = prepare(card, replace(distilled, ews=Ews(every=1, subset=0.2, subnets=2)), 0)
    sums = step(found, 0, 0, [batch_of(found)], 12)
    assert sums[1] > 0
    assert torch.isfinite(sums).all()


@pytest.fixture
def shelf_of_teachers(tmp_path):
    """A model of another dataset, one of too few classes, and one that was never trained."""
    zoo = tmp_path / "shelf" / "model_zoo"
    (zoo / "recipes").mkdir(parents=True)
    text = 'title = "T"\ndataset = "{dataset}"\n[arch]\nuse = "{use}"\nargs = {args}\n'
    small = "rbench.models.preact_resnet:preact_resnet_small"
    args = "{ classes = 10, mean = [0.305, 0.305, 0.305], std = [0.324, 0.324, 0.324] }"
    (zoo / "other.toml").write_text(text.format(dataset="cifar10", use=small, args=args))
    (zoo / "untrained.toml").write_text(text.format(dataset="digits", use=small, args=args))
    return tmp_path / "shelf"


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ({"clean": "other"}, UsageError, "teacher 'other' classifies 'cifar10', and its student 'digits'"),
        ({"robust": "untrained"}, MissingError, "teacher 'untrained': the weights of 'untrained' do not exist yet"),
        (
            {"robust": "standart-digits"},
            UsageError,
            "no model named 'standart-digits'.* Did you mean 'standard-digits'",
        ),
        ({"robust_weights": "nowhere.safetensors"}, MissingError, "teacher 'at-digits': no checkpoint nowhere"),
        ({"tau": 0.0}, UsageError, "tau = 0.0 must be greater than 0"),
        ({"eta": 1.5}, UsageError, "eta = 1.5 from 0 to 1"),
    ],
)
def test_bad_teachers_are_refused(card, distilled, shelf_of_teachers, args, error, message):
    catalog = Catalog.find([shelf_of_teachers])
    with pytest.raises(error, match=message):
        prepare(card, changed(distilled, **args), 0, catalog=catalog)


def test_a_teacher_of_other_classes_is_refused(card, distilled, tmp_path):
    path = tmp_path / "nets.py"
    path.write_text("import torch\nfrom torch import nn\n\ndef narrow():\n    torch.manual_seed(0)\n    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 7))\n")  # fmt: skip # noqa: E501
    message = r"teacher '.*nets.py:narrow' gives logits \[1, 7\] of one image, and 'small' has 10 classes"
    with pytest.raises(UsageError, match=message):
        prepare(card, changed(distilled, clean=f"{path}:narrow"), 0)


def test_files_of_weights_teach(card, distilled):
    catalog = Catalog.find()
    path, _ = catalog.weights(catalog.model("trades-digits"))
    found = prepare(card, changed(distilled, robust_weights=str(path)), 0)
    other = prepare(card, changed(distilled, robust="trades-digits"), 0)
    x = batch_of(found).x
    one, two = (taught_by(each.teachers, (x, x))[1] for each in (found, other))
    assert torch.equal(one, two)
    assert list(found.taught_by) == ["standard-digits", f"at-digits, {path}"]


def test_a_rehearsal_needs_no_trained_teacher(card, distilled, shelf_of_teachers):
    catalog = Catalog.find([shelf_of_teachers])
    found = prepare(card, changed(distilled, robust="untrained"), 0, catalog=catalog, rehearsal=True)
    assert torch.isfinite(step(found, 0, 0, [batch_of(found)], 12)).all()
    with pytest.raises(MissingError, match="no checkpoint nowhere"):  # a file that is named must be there even then
        prepare(card, changed(distilled, robust_weights="nowhere.safetensors"), 0, catalog=catalog, rehearsal=True)


def test_smoothed_labels_are_refused(card, distilled):
    with pytest.raises(UsageError, match="MTARD learns from teachers, not labels; remove label_smoothing"):
        prepare(card, replace(distilled, label_smoothing=0.1), 0)


def test_epochs_before_the_attack_have_no_teachers(card, distilled):
    found = prepare(card, replace(distilled, attack=replace(distilled.attack, warmup=1)), 0)
    assert found.at(0).teachers == ()
    assert found.at(1).teachers == found.teachers
    assert torch.isfinite(step(found, 0, 0, [batch_of(found)], 12)).all()
    assert found.objective.memory.first.tolist() == [0, 0]
