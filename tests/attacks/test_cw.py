"""Carlini and Wagner's attack where the nearest adversarial image is known, and where careless versions of it fail."""

import pytest
import torch

from rbench.attacks.cw import cw
from rbench.models.linear import linear
from rbench.referee import judge
from rbench.rng import Draws
from rbench.types import Threat

SHAPE, D, N = (3, 4, 4), 48, 12
FAR = Threat("l2", "100")  # no limit at all


def problem(seed, classes=2, spread=0.2):
    """A linear model of several classes and images, with the labels that the model gives them."""
    generator = torch.Generator().manual_seed(seed)
    model = linear(D, classes).double().requires_grad_(False)
    model.classifier.weight.copy_(torch.randn(classes, D, generator=generator))
    # At grey the weights say nothing, so that the biases alone keep the classes apart.
    model.classifier.bias.copy_(torch.linspace(0, -1, classes) - 0.5 * model.classifier.weight.sum(1))
    x = 0.5 + spread * (torch.rand(4 * N, *SHAPE, generator=generator, dtype=torch.float64) - 0.5)
    x = x[nearest_boundary(model, x) > 0.05][:N]
    return model, x, model(x).argmax(1)


def nearest_boundary(model, x):
    """min_k |z_k - z_y| / ||w_k - w_y||_2."""
    z, weight = model(x), model.classifier.weight
    y = z.argmax(1)
    slopes = (weight[None] - weight[y][:, None]).norm(dim=2)
    return ((z.gather(1, y[:, None]) - z) / slopes).scatter(1, y[:, None], torch.inf).amin(1)


def distances(x, x_adv):
    return (x_adv - x).flatten(1).norm(dim=1)


def run(model, x, y, threat=FAR, **params):
    return cw(model, x, y, threat, rng=Draws(0, "cw", torch.arange(len(x))), **{"steps": 300, **params})


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_on_a_linear_model_it_finds_the_nearest_point_of_the_boundary(classes, dtype):
    model, x, y = problem(1, classes)
    nearest = nearest_boundary(model, x)
    x_adv = run(model.to(dtype), x.to(dtype), y)
    assert x_adv.dtype == dtype
    assert (model(x_adv).argmax(1) != y).all()
    ratio = distances(x, x_adv) / nearest
    assert ratio.min() > 1
    assert ratio.median() < 1.02
    assert ratio.max() < 1.05


def test_logits_moved_by_a_constant_change_nothing():
    model, x, y = problem(2, classes=4)
    plain = distances(x, run(model, x, y))
    for shift in (-50, 50):
        model.classifier.bias += shift
        x_adv = run(model, x, y)
        model.classifier.bias -= shift
        assert (model(x_adv).argmax(1) != y).all()
        assert torch.allclose(distances(x, x_adv), plain, rtol=0.03)


@pytest.mark.parametrize("pixel", [0.0, 1.0, 0.5])
def test_pixels_at_the_ends_of_the_box_move_too(pixel):
    model = linear(D, 2).requires_grad_(False)
    # Class 1 wins once the mean has moved by 0.02 away from the end.
    inward = -1.0 if pixel == 1 else 1.0
    model.classifier.weight.copy_(torch.stack([torch.zeros(D), torch.full((D,), inward / D)]))
    model.classifier.bias.copy_(torch.tensor([0.0, -inward * pixel - 0.02]))
    x, y = torch.full((3, *SHAPE), pixel), torch.zeros(3, dtype=torch.int64)
    x_adv = run(model, x, y)
    assert (model(x_adv).argmax(1) == 1).all()
    assert torch.allclose(distances(x, x_adv), torch.tensor(0.02 * D**0.5), rtol=0.03)


def test_samples_do_not_know_of_each_other():
    model, x, y = problem(3, classes=4)
    together = run(model, x, y, steps=200)
    for row in (0, 5):
        assert torch.allclose(run(model, x[[row]], y[[row]], steps=200), together[[row]], atol=1e-9)
    # Not even of one that nothing can move, or that is misclassified from the start.
    odd = torch.cat([x[:4], x[:1]])
    wrong = torch.cat([y[:4], 1 - y[:1].clamp_max(1)])
    assert torch.allclose(run(model, odd, wrong, steps=200)[:4], together[:4], atol=1e-9)


def test_an_eps_below_the_distance_gives_the_best_point_of_the_ball():
    model, x, y = problem(4)
    threat = Threat("l2", "1/20")  # nearer than every boundary, by construction
    x_adv = run(model, x, y, threat)
    verdict = judge(model, x, y, x_adv, threat, classes=2, attack="cw")
    slope = (model.classifier.weight[0] - model.classifier.weight[1]).norm()
    assert (verdict.pred == y).all()
    assert torch.allclose(verdict.distance, torch.tensor(0.05, dtype=x.dtype), rtol=1e-6)
    best = (nearest_boundary(model, x) - 0.05) * slope
    assert torch.allclose(verdict.margin, best, atol=float(0.05 * 0.05 * slope))


def test_success_counts_only_within_eps():
    model, x, y = problem(5, spread=0.5)
    threat = Threat("l2", str(nearest_boundary(model, x).median().item() * 1.05))
    x_adv = run(model, x, y, threat)
    verdict = judge(model, x, y, x_adv, threat, classes=2, attack="cw")
    assert (verdict.pred != y)[nearest_boundary(model, x) < 0.95 * threat.radius].all()
    assert torch.equal((verdict.pred != y), nearest_boundary(model, x) < threat.radius)
    assert 0 < (verdict.pred != y).sum() < len(x)
    # The nearest success is what is returned, not just any within eps.
    found = verdict.pred != y
    assert torch.allclose(verdict.distance[found], nearest_boundary(model, x)[found], rtol=0.05)


def test_under_linf_the_point_is_in_its_ball_and_better_than_none():
    model, x, y = problem(6)
    for eps in ("1/255", "1/4"):
        threat = Threat("linf", eps)
        verdict = judge(model, x, y, run(model, x, y, threat), threat, classes=2, attack="cw")
        own, other = model(x).gather(1, y[:, None])[:, 0], model(x).gather(1, 1 - y[:, None])[:, 0]
        if eps == "1/4":
            assert (verdict.pred != y).all()
        else:
            assert torch.allclose(verdict.distance, torch.tensor(1 / 255, dtype=x.dtype), rtol=1e-6)
            # A step eps along the sign of every pixel would gain eps ||w||_1; small weights may stay short of that.
            full = (model.classifier.weight[0] - model.classifier.weight[1]).abs().sum() / 255
            assert (verdict.margin - (own - other) < -0.9 * full).all()


def test_where_nothing_fools_the_iterate_of_least_margin_is_returned():
    model, x, y = problem(9)
    x_adv = run(model, x, y, searches=1, constant=0.001)  # too small a weight to reach the boundary
    z, z_adv = model(x), model(x_adv)
    own, other = y[:, None], 1 - y[:, None]
    assert (z_adv.argmax(1) == y).all()
    assert ((z_adv.gather(1, own) - z_adv.gather(1, other)) < (z.gather(1, own) - z.gather(1, other)) - 1e-3).all()


def test_the_weight_is_searched_for_upwards_and_downwards():
    model, x, y = problem(9)
    for constant in (0.001, 100.0):  # the one never gets there, the other overshoots
        once, often = (run(model, x, y, searches=k, constant=constant) for k in (1, 8))
        if constant == 0.001:
            assert (model(once).argmax(1) == y).all()
        else:
            assert (distances(x, once) / nearest_boundary(model, x)).median() > 1.3
        assert (model(often).argmax(1) != y).all()
        assert (distances(x, often) / nearest_boundary(model, x)).max() < 1.1


def test_confidence_asks_for_a_margin():
    model, x, y = problem(7)
    slope = (model.classifier.weight[0] - model.classifier.weight[1]).norm()
    x_adv = run(model, x, y, confidence=2.0)
    logits = model(x_adv)
    lead = logits.gather(1, 1 - y[:, None]) - logits.gather(1, y[:, None])
    assert (lead > 2).all()
    assert torch.allclose(distances(x, x_adv), nearest_boundary(model, x) + 2 / slope, rtol=0.03)


class Roots(torch.nn.Module):
    """Class 1 wins where the mean of sqrt(max(x - 0.4, 0)) exceeds 0.1; the slope at a pixel below 0.4 is NaN."""

    def forward(self, x):
        above = (x - 0.4).flatten(1)
        s = (above * (above > 0)).sqrt().mean(1)
        return torch.stack([torch.zeros_like(s), s - 0.1], dim=1)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_slopes_that_are_zero_or_nan_neither_stop_nor_spoil_it(norm):
    x, y = torch.full((2, *SHAPE), 0.401, dtype=torch.float64), torch.zeros(2, dtype=torch.int64)
    x[0, 0, 0, 0] = 0.3
    x_adv = run(Roots(), x, y, Threat(norm, "1/2"), steps=100)
    assert torch.isfinite(x_adv).all()
    assert (Roots()(x_adv).argmax(1) == 1).all()
    flat = linear(D, 3).double().requires_grad_(False)
    flat.classifier.weight.zero_()
    assert torch.isfinite(run(flat, x, flat(x).argmax(1), Threat(norm, "1/2"), steps=50)).all()


def test_the_budget_is_kept_and_a_round_without_progress_ends_early():
    class Counting(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner, self.images = inner, 0

        def forward(self, x):
            self.images += len(x)
            return self.inner(x)

    model, x, y = problem(8)
    counts = {}
    for steps, searches in ((5, 3), (400, 3)):
        counting = Counting(model)
        run(counting, x, y, steps=steps, searches=searches)
        counts[steps] = counting.images / N
        assert counts[steps] <= steps * searches + 1
    flat = linear(D, 2).double().requires_grad_(False)
    flat.classifier.weight.zero_()
    counting = Counting(flat)
    run(counting, x, flat(x).argmax(1), steps=400, searches=3)
    assert counting.images / N < 400
    assert counts[400] < 1000
