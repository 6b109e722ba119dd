"""The projection onto a hyperplane within the box, against linear programming, bisection and the authors' code."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyautoattack.fab_projections import projection_l2, projection_linf
from scipy.optimize import linprog, minimize

from rbench.attacks._projection import onto_hyperplane


def problem(seed, n=6, size=12):
    """Points of the box, many on its border, and planes: near ones, far ones, and ones that miss the box."""
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(n, size, generator=generator, dtype=torch.float64) * 1.6 - 0.3).clamp(0, 1)
    w = torch.randn(n, size, generator=generator, dtype=torch.float64)
    w[torch.rand(n, size, generator=generator) < 0.2] = 0
    excess = torch.randn(n, generator=generator, dtype=torch.float64) * torch.tensor([0.1, 1, 3, 0.01, 5, 1])
    return x, w, excess


def farthest(x, w, excess):
    """The corner of the box that lies farthest towards the plane."""
    down = excess[:, None] * w > 0
    return torch.where(down, -x, 1 - x) * (w != 0)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.sampled_from(["linf", "l2"]))
def test_it_reaches_the_plane_within_the_box_or_the_nearest_corner(seed, norm):
    x, w, excess = problem(seed)
    delta = onto_hyperplane(x, w, excess, norm)
    assert (x + delta >= -1e-12).all()
    assert (x + delta <= 1 + 1e-12).all()
    reachable = -(w * farthest(x, w, excess)).sum(1) * excess.sign() >= excess.abs()
    assert torch.allclose((w * delta).sum(1)[reachable], -excess[reachable], atol=1e-9)
    assert torch.allclose(delta[~reachable], farthest(x, w, excess)[~reachable])


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_linf_is_the_solution_of_the_linear_program(seed):
    x, w, excess = problem(seed)
    delta = onto_hyperplane(x, w, excess, "linf").numpy()
    for i in range(len(x)):
        size = x.shape[1]
        # Variables: delta and t; minimise t with |delta_j| <= t, w delta = -excess, -x <= delta <= 1 - x.
        both = np.vstack([np.hstack([s * np.eye(size), -np.ones((size, 1))]) for s in (1, -1)])
        bounds = [(-float(v), 1 - float(v)) for v in x[i]] + [(0, None)]
        found = linprog(
            np.eye(size + 1)[-1], both, np.zeros(2 * size), [[*w[i].tolist(), 0]], [-float(excess[i])], bounds=bounds
        )
        if found.success:
            assert np.abs(delta[i]).max() == pytest.approx(found.fun, abs=1e-7)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10**6))
def test_l2_is_the_solution_of_the_quadratic_program(seed):
    x, w, excess = problem(seed, size=5)
    delta = onto_hyperplane(x, w, excess, "l2").numpy()
    for i in range(len(x)):
        if abs(w[i].numpy() @ delta[i] + float(excess[i])) > 1e-9:
            continue  # the plane misses the box
        found = minimize(
            lambda d: d @ d,
            delta[i] * 0.9,
            jac=lambda d: 2 * d,
            bounds=[(-float(v), 1 - float(v)) for v in x[i]],
            constraints={"type": "eq", "fun": lambda d, i=i: w[i].numpy() @ d + float(excess[i])},
            method="SLSQP",
        )
        assert np.linalg.norm(delta[i]) <= np.sqrt(found.fun) + 1e-6


@pytest.mark.parametrize(("norm", "theirs"), [("linf", projection_linf), ("l2", projection_l2)])
def test_it_agrees_with_the_authors_projection_on_images(norm, theirs):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(20, 3072, generator=generator)
    x[:, ::3] = (x[:, ::3] > 0.5).float()  # a third of the pixels have met the box already
    w = torch.randn(20, 3072, generator=generator)
    b = (w * x).sum(1) - torch.linspace(-30, 30, 20)
    ours = onto_hyperplane(x, w, (w * x).sum(1) - b, norm)
    assert torch.allclose(ours, theirs(x, w, b), atol=2e-5)


def test_a_plane_without_a_normal_moves_nothing():
    x = torch.rand(3, 7)
    for norm in ("linf", "l2"):
        assert not onto_hyperplane(x, torch.zeros(3, 7), torch.tensor([1.0, 0.0, -1.0]), norm).any()
