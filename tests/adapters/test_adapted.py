"""Attacks of torchattacks named by a suite, and its defects made to happen, each beside what mends it."""

import json

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("torchattacks")

import rbench
from rbench.attacks.mifgsm import mifgsm
from rbench.attacks.pgd import pgd
from rbench.catalog import bind, resolve
from rbench.engine import GIVEN
from rbench.errors import UsageError
from rbench.rng import Draws
from rbench.types import Call, Threat

WIDE = Threat("linf", "1/5")
FAR = Threat("l2", "50")


class OfMean(nn.Module):
    """Logits (0, g) of the mean of an image."""

    def __init__(self, g):
        super().__init__()
        self.g = g

    def forward(self, x):
        value = self.g(x.flatten(1).mean(1))
        return torch.stack([torch.zeros_like(value), value], dim=1)


class Linear(nn.Module):
    """Two logits that differ by twice the mean of an image less `edge`, both shifted by `shift`."""

    def __init__(self, edge, shift=0.0):
        super().__init__()
        self.edge, self.shift = edge, shift

    def forward(self, x):
        value = x.flatten(1).mean(1) - self.edge
        return torch.stack([-value, value], dim=1) * 100 + self.shift


class Shifted(nn.Module):
    """A model with a number added to all logits."""

    def __init__(self, inner, shift):
        super().__init__()
        self.inner, self.shift = inner, shift

    def forward(self, x):
        return self.inner(x) + self.shift


def run(name, model, x, threat, **args):
    attack = bind(Call(f"torchattacks:{name}", args), GIVEN)
    return attack(model, x, torch.zeros(len(x), dtype=torch.long), threat, rng=Draws(0, "a", torch.arange(len(x))))


def fooled(model, x):
    return (model(x).argmax(1) == 1).tolist()


def test_a_suite_names_an_attack_and_the_referee_judges_it(suite, small_net):
    catalog = suite("torchattacks:DIFGSM", '{ steps = 3, alpha = "8/255", decay = 1.0 }')
    found = rbench.evaluate(small_net, "quick", limit=20, catalog=catalog)
    assert any("run by torchattacks" in finding.message for finding in found.scores["second"].findings)
    manifest = json.loads((found.folder / "manifest.json").read_text())
    assert "torchattacks:DIFGSM" in manifest["code"]
    outcomes = found.evidence["second"]
    attacked = found.evidence["clean"].correct
    assert 0 < outcomes.distance[attacked].max() <= 24 / 255 + 1e-6
    assert (outcomes.distance[~attacked] == 0).all()
    assert outcomes.backwards[attacked].mean() == 3


def test_what_steps_the_same_way_ends_at_the_same_place(small_net):
    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    y = torch.zeros(4, dtype=torch.long)
    ours = pgd(small_net, x, y, WIDE, rng=Draws(0, "a", torch.arange(4)), steps=1, step="1/10", start=False, stop=False)
    theirs = run("PGD", small_net, x, WIDE, steps=1, alpha="1/10", random_start=False, best=True)
    assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "args", "threat", "sentence"),
    [
        ("PGD", {"stepz": 3}, WIDE, "no argument named 'stepz' in torchattacks:PGD. Did you mean 'steps'"),
        ("PGD", {"eps": 0.1}, WIDE, "no argument named 'eps'"),
        ("PGD", {"alpha": "wide"}, WIDE, "alpha = 'wide' is not a number"),
        ("PGD", {}, FAR, "torchattacks:PGD is no attack in l2; try torchattacks:PGDL2"),
        ("PGDL2", {}, WIDE, "torchattacks:PGDL2 is no attack in linf; try torchattacks:PGD"),
        ("CW", {"mend": ["tanh"]}, FAR, "no mend named 'tanh' in torchattacks:CW"),
        ("PGD", {"mend": ["tanh-ends"]}, WIDE, "no mend named 'tanh-ends' in torchattacks:PGD. Known: none"),
    ],
)
def test_what_cannot_be_asked_is_said(name, args, threat, sentence):
    with pytest.raises(UsageError, match=sentence):
        run(name, Linear(0.6), torch.full((1, 3, 4, 4), 0.5), threat, **args)


def test_the_last_iterate_loses_what_the_best_one_keeps():
    """From 0.5 two steps of 0.13 go to 0.63, which fools, and back to 0.5, which does not."""
    model, x = OfMean(lambda s: 0.25 - 100 * (s - 0.6) ** 2), torch.full((1, 3, 4, 4), 0.5)
    args = {"steps": 2, "alpha": 0.13, "random_start": False}
    last, best = run("PGD", model, x, WIDE, **args), run("PGD", model, x, WIDE, **args, best=True)
    assert (fooled(model, last), fooled(model, best)) == ([False], [True])
    assert torch.allclose(best, torch.full_like(best, 0.63))


def test_a_gradient_of_zero_stops_their_momentum_and_not_ours():
    """Between 0.55 and 0.6 the model is flat; from 0.5 a step of 0.06 ends there, and the next would fool it."""
    model = OfMean(lambda s: 10 * (s - 0.6).relu() - (0.55 - s).relu() - 0.1)
    x, y = torch.full((1, 3, 4, 4), 0.5), torch.zeros(1, dtype=torch.long)
    theirs = run("MIFGSM", model, x, WIDE, steps=5, alpha=0.06)
    ours = mifgsm(model, x, y, WIDE, rng=Draws(0, "a", torch.arange(1)), steps=5, step="0.06")
    assert (fooled(model, theirs), fooled(model, ours)) == ([False], [True])
    assert torch.allclose(theirs, torch.full_like(theirs, 0.56))


def test_pixels_at_the_ends_of_the_box_move_only_when_mended():
    model, x = Linear(0.02), torch.zeros(1, 3, 4, 4)
    args = {"c": 1.0, "steps": 50, "lr": 0.05}
    assert torch.equal(run("CW", model, x, FAR, **args), x)
    assert fooled(model, run("CW", model, x, FAR, **args, mend=["tanh-ends"])) == [True]


def test_negative_logits_mislead_their_loss_unless_it_is_mended():
    model, x = Linear(0.52, shift=-50.0), torch.full((1, 3, 4, 4), 0.5)
    assert fooled(model, run("CW", model, x, FAR)) == [False]
    assert fooled(model, run("CW", model, x, FAR, mend=["masked-zero"])) == [True]


def test_their_deepfool_ends_within_rounding_of_the_boundary_unless_it_is_mended():
    """The nearer to 0.6, the straighter the model: the last step is short, and 2% of it are next to nothing."""
    bent = OfMean(lambda s: -(0.6 - s) - 5 * (0.6 - s).abs() * (0.6 - s))
    model, x = Shifted(bent, 50.0), torch.full((1, 3, 4, 4), 0.5)
    plain, mended = run("DeepFool", model, x, FAR), run("DeepFool", model, x, FAR, mend=["on-the-edge"])
    assert fooled(model, plain) == fooled(model, mended) == [True]
    leads = [float(model(image)[0].diff()) for image in (plain, mended)]
    assert 0 < leads[0] < 1e-3
    assert leads[1] >= 1e-4 * 50


def test_an_attack_that_knows_no_eps_is_projected_into_the_ball():
    model, x = Linear(0.7), torch.full((1, 3, 4, 4), 0.5)
    near, far = run("DeepFool", model, x, Threat("l2", "1/10")), run("DeepFool", model, x, FAR)
    assert (fooled(model, near), fooled(model, far)) == ([False], [True])
    assert float((near - x).norm()) == pytest.approx(0.1, abs=1e-6)
    assert float((far - x).norm()) == pytest.approx(0.2 * 48**0.5 * 1.02, rel=1e-4)


def test_their_autoattack_takes_ten_steps(small_net):
    import torchattacks

    parts = torchattacks.AutoAttack(small_net, eps=0.1)._autoattack.attacks
    assert [getattr(part, "steps", part.__class__.__name__) for part in parts] == [10, 10, 10, "Square"]
    assert resolve("torchattacks:AutoAttack").third_party == "torchattacks"


@pytest.mark.parametrize("eps", ["1/255", "2/255", "4/255"])
def test_the_best_image_fools_no_fewer_than_the_last_in_small_balls(eps):
    """Images on the border are in the ball but for rounding: as the referee has it."""
    torch.manual_seed(0)
    x = torch.randint(0, 256, (20, 3, 32, 32)) / 255
    net = nn.Sequential(nn.Flatten(), nn.Linear(3072, 2))
    with torch.no_grad():
        net[1].bias += torch.tensor([0.1, 0.0]) - net(x).mean(0)  # most are right, and not by much
    right = net(x).argmax(1) == 0
    x = x[right]
    last, best = (run("PGD", net, x, Threat("linf", eps), steps=3, best=best) for best in (False, True))
    fallen = sum(fooled(net, last))
    assert 0 < fallen <= sum(fooled(net, best))


@pytest.mark.parametrize("name", ["Pixle", "OnePixel"])
def test_attacks_that_draw_from_numpy_are_seeded_and_leave_it_as_it_was(name):
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    args = {"restarts": 2, "max_iterations": 3} if name == "Pixle" else {"steps": 2, "popsize": 4}
    np.random.seed(7)  # noqa: NPY002 - the global generator is what this is about
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one = run(name, Linear(0.45), x, FAR, **args)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    np.random.seed(8)  # noqa: NPY002
    assert torch.equal(one, run(name, Linear(0.45), x, FAR, **args))
    assert not torch.equal(one, x)
