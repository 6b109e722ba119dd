"""Trainings that start from other models' weights and train a part: what starts where, and what stays as it was."""

from dataclasses import replace

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
import zoo
from torch import nn

from rbench import api
from rbench.catalog import Catalog
from rbench.errors import MissingError, StoreError, UsageError
from rbench.models.splits import split
from rbench.recipe import Awp, Optimiser, Parts, Recipe, Start
from rbench.training import loop, start
from rbench.training.batches import fetch
from rbench.training.modes import running_statistics
from rbench.training.publish import publish
from rbench.training.ranks import Ranks
from rbench.training.run import run, run_all, training
from rbench.training.setting import prepare
from rbench.training.step import step
from rbench.types import Call

HALF = """
epochs = 3
batch = 60
holdout = 97
threads = 1
data = {{ use = "{small}" }}
objective = {{ use = "rbench.training.objectives:adversarial" }}
optimiser = {{ lr = 0.01, weight_decay = 0.5 }}
start = {{ model = "tiny-whole", f_b = "tiny-plain" }}
parts = {{ f_b = 4, trained = "f_b" }}
[attack]
threat = {{ norm = "linf", eps = "24/255" }}
steps = 2
rel_step = "1/2"
"""
LATE = "blocks.2.conv1"  # where the last 4 layers of the network begin


@pytest.fixture
def family(shelf, tmp_path):
    """A catalog with two parents, whose weights are published, untrained but not alike, and a child without."""
    root = shelf / "model_zoo"
    (root / "tiny-half.toml").write_text(zoo.CARD.format(recipe="tiny-half"))
    small = Catalog((shelf,)).recipe("tiny-plain").data.use
    (root / "recipes" / "tiny-half.toml").write_text(HALF.format(small=small))
    catalog = Catalog((shelf,))
    for seed, name in enumerate(("tiny-whole", "tiny-plain")):
        publish_noise(catalog, name, seed, tmp_path)
    return catalog


def publish_noise(catalog, name, seed, folder):
    card = catalog.model(name)
    model = prepare(card, catalog.recipe(card.recipe), seed).model
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(20, 3, 32, 32, generator=torch.Generator().manual_seed(seed)))
    file = folder / "noise.safetensors"
    safetensors.torch.save_file(model.state_dict(), file)
    publish(catalog, card, file)


def of(catalog, name):
    return safetensors.torch.load_file(catalog.weights(catalog.model(name))[0])


def ready(catalog, recipe=None, **options):
    """The setting of the child's training, with its start."""
    asked = training(catalog, "tiny-half", catalog.roots[0])
    recipe = recipe or asked.recipe
    return prepare(asked.card, recipe, 0, start=start.found_for(recipe, asked.start), **options)


def parts_of(setting):
    return split(setting.model, torch.zeros(1, 3, 32, 32), 4)


def test_each_part_starts_from_its_own_parent(family):
    setting = ready(family)
    robust, normal, found = of(family, "tiny-whole"), of(family, "tiny-plain"), parts_of(setting)
    assert found.first == LATE
    state = setting.model.state_dict()
    assert all(torch.equal(state[name], robust[name]) for name in found.f_a)
    assert all(torch.equal(state[name], normal[name]) for name in found.f_b)
    told = [name for name in found.f_b if not torch.equal(robust[name], normal[name])]
    assert "blocks.2.conv1.weight" in told
    assert "bn.running_mean" in told


def test_a_network_may_start_whole_and_learn_whole(family):
    recipe = replace(family.recipe("tiny-half"), start=Start("tiny-plain"), parts=None)
    origins = start.origins(family, family.model("tiny-half"), recipe)
    setting = prepare(family.model("tiny-half"), recipe, 0, start=start.found_for(recipe, origins))
    normal = of(family, "tiny-plain")
    assert all(torch.equal(value, normal[name]) for name, value in setting.model.state_dict().items())
    assert all(parameter.requires_grad for parameter in setting.model.parameters())
    assert [origin.model for origin in origins] == ["tiny-plain"]


@pytest.mark.parametrize("norms", ["eval", "batch"])
@pytest.mark.parametrize("trained", ["f_a", "f_b"])
def test_the_frozen_part_is_the_same_to_the_bit_after_training(family, tmp_path, trained, norms):
    result = run(
        family,
        training(family, "tiny-half", tmp_path, override={"parts.norms": norms, "parts.trained": trained}),
        progress=False,
    )
    after, robust, normal = safetensors.torch.load_file(result.weights), of(family, "tiny-whole"), of(family, "tiny-plain")  # fmt: skip # noqa: E501
    found = parts_of(ready(family))
    before = {**{name: robust[name] for name in found.f_a}, **{name: normal[name] for name in found.f_b}}
    kept, learnt = (found.f_a, found.f_b) if trained == "f_b" else (found.f_b, found.f_a)
    assert all(torch.equal(after[name], before[name]) for name in kept)
    still = {name for name in learnt if torch.equal(after[name], before[name])}
    assert still <= {"normalise.mean", "normalise.std"}


@pytest.mark.parametrize(
    "change",
    [
        {"awp": Awp(0.05)},
        {"optimiser": Optimiser(lr=0.01, kind="adamw", weight_decay=0.5)},
        {"optimiser": Optimiser(lr=0.01, decay_norms=False, clip=0.1)},
        {"precision": "bf16"},
    ],
)
def test_no_other_word_of_a_recipe_moves_the_frozen_part(family, change):
    setting = ready(family, replace(family.recipe("tiny-half"), **change), accumulate=2)
    before = {name: value.clone() for name, value in setting.model.state_dict().items()}
    for iteration in range(2):
        ids = setting.fitted[:20]
        step(setting, 0, iteration, [fetch(setting.data, part) for part in setting.parts(ids)], len(ids))
    after, found = setting.model.state_dict(), parts_of(setting)
    assert all(torch.equal(after[name], before[name]) for name in found.f_a)
    assert not torch.equal(after["classifier.weight"], before["classifier.weight"])


@pytest.mark.parametrize("norms", ["eval", "batch"])
def test_frozen_norms_use_what_they_remember_or_the_batch(family, norms):
    """By hand, F.batch_norm of what came in, in the very pass of a step that gives the gradient."""
    recipe = family.recipe("tiny-half")
    setting = ready(family, replace(recipe, parts=replace(recipe.parts, norms=norms)))
    norm, passed = setting.model.blocks[1].bn1, []
    norm.register_forward_hook(lambda module, inputs, out: passed.append((module, inputs[0].detach(), out.detach())))
    step(setting, 0, 0, [fetch(setting.data, setting.fitted[:20])], 20)
    module, x, out = passed[-1]  # the attack's passes come before
    expected = F.batch_norm(x, module.running_mean.clone(), module.running_var.clone(), module.weight, module.bias, norms == "batch", 0.1, module.eps)  # fmt: skip # noqa: E501
    other = F.batch_norm(x, module.running_mean.clone(), module.running_var.clone(), module.weight, module.bias, norms != "batch", 0.1, module.eps)  # fmt: skip # noqa: E501
    assert torch.equal(out, expected)
    assert not torch.allclose(out, other)
    assert setting.model.blocks[2].bn2.num_batches_tracked == 4  # 3 of the parent, 1 of this step


def test_one_step_of_f_b_is_that_of_a_head_on_fixed_features(family):
    """The oracle trains f_b alone, on features that f_a made once, by plain gradient descent."""
    recipe = replace(family.recipe("tiny-half"), attack=None, objective=Call("rbench.training.objectives:standard"), parts=Parts(1, trained="f_b"), optimiser=Optimiser(lr=0.1, momentum=0.0, weight_decay=0.0))  # fmt: skip # noqa: E501
    setting = ready(family, recipe)
    batch, features = fetch(setting.data, setting.fitted[:20]), []
    model = setting.model
    handle = model.classifier.register_forward_pre_hook(lambda _module, inputs: features.append(inputs[0].detach()))
    with torch.no_grad():
        model.eval()(batch.x)
    handle.remove()
    head = nn.Linear(*reversed(model.classifier.weight.shape))
    head.load_state_dict(model.classifier.state_dict())
    F.cross_entropy(head(features[0]), batch.y).backward()
    step(setting, 0, 0, [batch], 20)
    assert torch.allclose(model.classifier.weight, head.weight - 0.1 * head.weight.grad, atol=1e-6)
    assert torch.allclose(model.classifier.bias, head.bias - 0.1 * head.bias.grad, atol=1e-6)


def test_ranks_leave_what_is_frozen_alone(family, monkeypatch):
    setting = ready(family)
    sent = []
    monkeypatch.setattr("rbench.training.ranks.dist.all_reduce", lambda flat: sent.append(flat.numel()))
    Ranks(0, 2).gradients(setting.model)
    learnt = [parameter for parameter in setting.model.parameters() if parameter.requires_grad]
    assert sent == [sum(parameter.numel() for parameter in learnt)]
    assert all(p.grad is None for p in setting.model.parameters() if not p.requires_grad)
    norms = [setting.model.blocks[2].bn2, setting.model.bn]
    assert [id(each) for each in running_statistics(setting.model)] == [id(each) for norm in norms for each in (norm.running_mean, norm.running_var)]  # fmt: skip # noqa: E501
    assert sum(group["params"].__len__() for group in setting.optimiser.param_groups) == len(learnt)


def test_an_interrupted_training_of_a_part_ends_with_the_same_bytes(family, tmp_path, monkeypatch):
    asked = training(family, "tiny-half", tmp_path)
    whole = loop.train(asked.card, asked.recipe, out=tmp_path / "whole", start=asked.start, progress=False)
    original = loop.step

    def stopped(setting, epoch, iteration, *rest):
        done = original(setting, epoch, iteration, *rest)
        if (epoch, iteration) == (1, 2):
            raise KeyboardInterrupt
        return done

    with monkeypatch.context() as patch:
        patch.setattr(loop, "step", stopped)
        with pytest.raises(KeyboardInterrupt):
            loop.train(asked.card, asked.recipe, out=tmp_path / "parts", start=asked.start, progress=False)
    parts = loop.train(asked.card, asked.recipe, out=tmp_path / "parts", start=asked.start, progress=False)
    assert parts.weights.read_bytes() == whole.weights.read_bytes()


def test_a_state_of_another_start_is_refused(family, tmp_path):
    run(family, training(family, "tiny-half", tmp_path), progress=False)
    publish_noise(family, "tiny-plain", 7, tmp_path)  # the parent was trained anew
    with pytest.raises(StoreError, match=r"another training: start weights was .*tiny-plain.*--out"):
        run(family, training(family, "tiny-half", tmp_path), progress=False)
    state = torch.load(tmp_path / "tiny-half" / "seed0" / "state.pt", weights_only=True)["manifest"]
    assert state["start"] == '{"f_b": "tiny-plain", "model": "tiny-whole"}'
    assert state["parts"] == '{"f_b": 4, "trained": "f_b"}'


def test_trainings_in_other_processes_start_there_too(family, tmp_path):
    alone = run(family, training(family, "tiny-half", tmp_path / "alone"), progress=False)
    asked = [training(family, "tiny-half", tmp_path / "two", seed=seed) for seed in (0, 1)]
    both = run_all(family, asked, jobs=2, progress=False, publishing=False)
    assert both[0].weights.read_bytes() == alone.weights.read_bytes()
    assert both[1].weights.read_bytes() != alone.weights.read_bytes()


def test_weights_that_are_not_there_or_not_the_locked_ones(family, tmp_path):
    file, _ = family.weights(family.model("tiny-plain"))
    content = file.read_bytes()
    file.write_bytes(content[:-4] + b"\x00\x00\x00\x01")
    with pytest.raises(MissingError, match=r"has sha256 .*its lock says"):
        run(family, training(family, "tiny-half", tmp_path), progress=False)
    file.unlink()
    with pytest.raises(MissingError, match=r"weights of 'tiny-plain' do not exist yet .*: rbench train tiny-plain"):
        run(family, training(family, "tiny-half", tmp_path), progress=False)
    (found,) = api.estimate("tiny-half", catalog=family, override={"data.use": "rbench.data.digits:digits"})
    assert found.parameters == 5166  # a dry run needs none of them


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"start.model": "tiny-whale"}, r"no model named 'tiny-whale'.*'tiny-whole'"),
        ({"start.f_b": "tiny-half"}, r"starts 'tiny-half' from 'tiny-half', which is itself"),
        ({"start.f_b": "wide"}, r"recipe 'tiny-half' starts 'tiny-half' from 'wide', which is of another network"),
        ({"start.f_b": "far"}, r"from 'far', which is of another dataset: cifar10, not digits"),
        ({"parts.f_b": 0}, r"parts.f_b = 0 must be at least 1"),
        ({"parts.trained": "f_c"}, r"parts.trained: Input should be 'f_a', 'f_b' or 'both'"),
        ({"start.modell": "tiny-whole"}, r"no key named 'modell'.*'model'"),
    ],
)
def test_names_and_values_that_do_not_fit_are_refused(family, tmp_path, override, message):
    root = family.roots[0] / "model_zoo"
    (root / "wide.toml").write_text(zoo.CARD.format(recipe="tiny-plain").replace("width = 4", "width = 8"))
    (root / "far.toml").write_text(zoo.CARD.format(recipe="tiny-plain").replace('"digits"', '"cifar10"'))
    with pytest.raises(UsageError, match=message):
        training(family, "tiny-half", tmp_path, override=override)


def test_a_split_out_of_range_and_a_start_that_is_not_given(family, tmp_path):
    with pytest.raises(UsageError, match=r"f_b cannot be the last 10 of the 10 layers"):
        run(family, training(family, "tiny-half", tmp_path, override={"parts.f_b": 10}), progress=False)
    asked = training(family, "tiny-half", tmp_path)
    with pytest.raises(UsageError, match=r"starts from the weights of \['tiny-whole', 'tiny-plain'\], given are \[\]"):
        loop.train(asked.card, asked.recipe, out=tmp_path / "direct", progress=False)


@pytest.mark.parametrize(
    ("parts", "begin", "message"),
    [
        (None, Start("a", "b"), r"start.f_b = 'b' needs a table \[parts\]"),
        (Parts(4, "f_b"), None, r"\[parts\] needs a table \[start\]"),
        (Parts(4), Start("a"), r"\[parts\] changes nothing"),
    ],
)
def test_tables_that_do_not_go_together_are_refused(plain, parts, begin, message):
    with pytest.raises(UsageError, match=message):
        replace(plain, start=begin, parts=parts)
    assert isinstance(replace(plain, start=Start("a", "b"), parts=Parts(4)), Recipe)
