"""Models that are random, judged by draws of their own randomness."""

import pytest
import torch
from quick import contents
from torch import nn

import rbench
from rbench.catalog import Catalog
from rbench.errors import ModelError
from rbench.models.twin import accelerate, is_random
from rbench.referee import opinion

X = torch.rand(40, 3, 2, 2, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def drawn(suite, tmp_path):
    """The quick suite judged by some draws; returns the catalog."""

    def write(draws, **options):
        suite(**options)
        path = tmp_path / "shelf" / "suites" / "quick.toml"
        path.write_text(f"draws = {draws}\n{path.read_text()}")
        return Catalog.find([tmp_path / "shelf"])

    return write


class Coin(nn.Module):
    """Class 0 with probability `p`, else class 1, image by image."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        side = (torch.rand(len(x)) < self.p).float()
        return torch.stack([side, 1 - side, side - 5], dim=1)


def test_the_vote_of_many_draws_finds_the_likelier_class():
    y = torch.zeros(40, dtype=torch.int64)
    for p, winner in ((0.7, 0), (0.3, 1)):
        pred, margin = opinion(Coin(p), X, y, 3, range(400))
        assert (pred == winner).all()
        assert margin.mean() == pytest.approx(2 * p - 1, abs=0.05)  # z_y - z_k is +1 or -1


class Turns(nn.Module):
    """Class 0 and class 1 in turn."""

    def __init__(self):
        super().__init__()
        self.turn = 0

    def forward(self, x):
        self.turn += 1
        return torch.eye(3)[self.turn % 2].repeat(len(x), 1) * 2


@pytest.mark.parametrize("label", [0, 1, 2])
def test_a_tie_goes_against_the_label(label):
    pred, margin = opinion(Turns(), X, torch.full((40,), label), 3, range(10))
    assert (pred == (1 if label == 0 else 0)).all()
    assert (margin == (-2 if label == 2 else 0)).all()


def test_the_draws_depend_on_the_seeds_and_on_nothing_else():
    y = torch.zeros(40, dtype=torch.int64)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = opinion(Coin(0.5), X, y, 3, range(5))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert all(map(torch.equal, first, opinion(Coin(0.5), X, y, 3, range(5))))
    assert not torch.equal(first[1], opinion(Coin(0.5), X, y, 3, range(5, 10))[1])


class Noisy(nn.Module):
    """A network whose logits are disturbed."""

    def __init__(self, net, scale=0.3):
        super().__init__()
        self.net, self.scale = net, scale

    def forward(self, x):
        logits = self.net(x)
        return logits + self.scale * torch.randn_like(logits)


@pytest.mark.parametrize("draws", [2, 5])
def test_a_model_that_is_not_random_gets_the_same_evidence(drawn, suite, small_net, tmp_path, draws):
    plain = rbench.evaluate(small_net, "quick", limit=30, catalog=suite(), runs=tmp_path / "plain")
    voted = rbench.evaluate(small_net, "quick", limit=30, catalog=drawn(draws), runs=tmp_path / "voted")
    assert voted.samples.equals(plain.samples)
    assert voted.scores == plain.scores


def test_a_random_model_needs_a_suite_with_draws(suite, small_net):
    with pytest.raises(ModelError, match=r"different logits each time.*a suite with draws, such as digits-rand"):
        rbench.evaluate(Noisy(small_net), "quick", limit=20, catalog=suite())


def test_a_random_model_is_reproducible_and_resumes_to_the_same_bytes(drawn, small_net, tmp_path):
    catalog = drawn(4, args="{ steps = 3, eot = 2 }")
    runs = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        folder = tmp_path / f"r{seed}"
        runs.append(rbench.evaluate(Noisy(small_net), "quick", limit=40, batch=20, catalog=catalog, runs=folder))
    before = contents(runs[0].folder)
    assert contents(runs[1].folder) == before
    for name in ("complete.json", "000010.parquet", "000030.parquet"):
        (runs[0].folder / "second" / name).unlink()
    assert rbench.evaluate(Noisy(small_net), "quick", limit=40, catalog=catalog, runs=tmp_path / "r1").fresh_blocks == 2
    assert contents(runs[0].folder) == before


def test_an_image_that_was_spared_for_being_wrong_stays_wrong(drawn, small_net):
    frame = rbench.evaluate(Noisy(small_net), "quick", limit=100, catalog=drawn(3)).samples
    spared = frame[(frame.probe == "second") & (frame.forwards == 0)]
    assert len(spared)
    assert (spared.pred != spared.label).all()


def test_more_draws_lower_the_noise_of_the_verdict(drawn, small_net, tmp_path):
    """A mean margin over k draws has 1/k of the variance of one."""
    spread = []
    for draws in (2, 32):
        options = {"limit": 100, "catalog": drawn(draws), "runs": tmp_path / str(draws), "probes": ("clean",)}
        frames = [rbench.evaluate(Noisy(small_net, 3.0), "quick", seed=s, **options).samples for s in range(2)]
        clean = [frame[frame.probe == "clean"].margin.to_numpy() for frame in frames]
        spread.append((clean[0] - clean[1]).var())
    assert spread[1] < spread[0] / 4  # a sixteenth, but for the sampling error of 100 images


class OwnGenerator(Noisy):
    def __init__(self, net):
        super().__init__(net)
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, x):
        logits = self.net(x)
        return logits + torch.randn(logits.shape, generator=self.generator)

    def __deepcopy__(self, memo):
        raise TypeError("a generator cannot be copied")


def test_randomness_that_cannot_be_repeated_is_refused(drawn, small_net):
    with pytest.raises(ModelError, match="come from torch's global generators"):
        rbench.evaluate(OwnGenerator(small_net), "quick", limit=20, catalog=drawn(4))


class Rare(nn.Module):
    """Takes one of two branches by a coin that tracing would toss once and for all."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))

    def forward(self, x):
        return self.body(x) * (1 if torch.rand(()).item() < 0.5 else -1)


def test_the_twin_of_a_random_model_stays_random(small_net):
    torch.manual_seed(0)
    model = Rare().eval()
    assert is_random(model, X)
    assert not is_random(small_net, torch.rand(2, 3, 32, 32))
    twin = accelerate(model, X)
    with torch.no_grad():
        assert len({float(twin(X)[0, 0]) for _ in range(30)}) == 2
