"""Single attacks of torchattacks in the place of native ones."""

import pytest
import torch

pytest.importorskip("torchattacks")

from rbench.attacks.pgd import pgd
from rbench.backends import torchattacks
from rbench.errors import UsageError
from rbench.referee import Witness, judge
from rbench.rng import Draws
from rbench.types import Threat

LINF, L2 = Threat("linf", "16/255"), Threat("l2", "2")


@pytest.fixture
def batch(small_net):
    x = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    net = small_net.requires_grad_(False)
    return net, x, net(x).argmax(1)


def attack(batch, threat, name, like, **args):
    net, x, y = batch
    rng = Draws(0, name, torch.arange(len(x)))
    return torchattacks.attack(net, x, y, threat, rng=rng, name=name, like=f"rbench.attacks.{like}:{like}", args=args)


def test_pgd_without_a_start_makes_the_same_steps(batch):
    """The last iterate of theirs, where the native one has looked at the same iterates: sign steps leave no choice."""
    net, x, y = batch
    theirs = attack(batch, LINF, "PGD", "pgd", steps=1, rel_step="1/2", start=False)
    ours = pgd(net, x, y, LINF, rng=Draws(0, "a", torch.arange(6)), steps=1, rel_step="1/2", start=False)
    assert torch.allclose(theirs, ours, atol=1e-6)
    absolute = attack(batch, LINF, "PGD", "pgd", steps=1, step="8/255", start=False)
    assert torch.allclose(theirs, absolute, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "like", "args", "threat"),
    [
        ("FGSM", "fgsm", {}, LINF),
        ("PGD", "pgd", {"steps": 5}, LINF),
        ("PGDL2", "pgd", {"steps": 5}, L2),
        ("BIM", "pgd", {"steps": 5, "start": False}, LINF),
        ("MIFGSM", "mifgsm", {"steps": 5}, LINF),
        ("APGD", "apgd", {"steps": 5, "loss": "dlr"}, LINF),
        ("APGDT", "apgd", {"steps": 5, "loss": "dlr-targeted"}, L2),
        ("FAB", "fab", {"steps": 5}, LINF),
        ("Square", "square", {"queries": 200}, LINF),
        ("AutoAttack", "autoattack", {"version": "rand"}, LINF),
        ("EOTPGD", "fgsm", {}, LINF),
    ],
)
def test_each_counterpart_stays_in_the_ball_and_leaves_the_model_alone(name, like, args, threat, batch):
    net, x, y = batch
    witness = Witness(net)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    x_adv = attack(batch, threat, name, like, **args)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(attack(batch, threat, name, like, **args), x_adv)
    witness.check("attacked")
    verdict = judge(net, x, y, x_adv, threat, classes=10, attack=name)
    assert (verdict.pred != y).any()


def test_a_model_in_training_mode_stays_in_it(batch):
    """The counting shell of the engine is one; torchattacks alone would train the network inside."""

    class Shell(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = batch[0]

        def forward(self, x):
            assert not self.inner.training
            return self.inner(x)

    shell = Shell()
    attack((shell, *batch[1:]), LINF, "AutoAttack", "autoattack", version="rand")
    assert shell.training
    assert not shell.inner.training


@pytest.mark.parametrize(
    ("name", "threat", "sentence"),
    [
        ("PDG", LINF, "Did you mean 'PGD'?"),
        ("DeepFool", LINF, "no attack of a fixed eps named 'DeepFool'"),
        ("PGD", L2, "no attack in l2; try torchattacks:PGDL2"),
        ("PGDL2", LINF, "no attack in linf; try torchattacks:PGD"),
        ("FGSM", L2, "try torchattacks:APGD"),
    ],
)
def test_what_cannot_answer_the_question_is_refused(name, threat, sentence, batch):
    with pytest.raises(UsageError, match=sentence):
        attack(batch, threat, name, "pgd")
