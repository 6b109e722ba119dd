"""A supernet against the networks that it holds, and FSP matrices against sums that are written out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rbench.candidates import sampled
from rbench.errors import UsageError
from rbench.models.fsp import fsp_distances, fsp_matrix
from rbench.models.genotypes import codes_of
from rbench.models.robnet import robnet
from rbench.models.supernet import inherited, supernet

SHAPE = {"C": 2, "layers": 3, "classes": 5, "stem": "digits"}


@pytest.fixture(scope="module")
def whole():
    """A supernet and images."""
    torch.manual_seed(0)
    return supernet(**SHAPE, shared=False), torch.rand(6, 3, 32, 32)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 3]), st.booleans())
def test_a_sub_architecture_is_the_network_that_inherits_its_weights(whole, seed, rows, training):
    model, x = whole
    candidate = sampled(seed, 1, rows)[0]
    own = robnet(list(candidate.cells), **SHAPE)
    own.load_state_dict(inherited(model.state_dict(), own, codes_of(list(candidate.cells), 3)))  # strict
    own.train()  # as the supernet's, its norms go by the batch
    with torch.no_grad():
        full = model.train(training)(x)
        with model.only(candidate.bits.tolist()):
            assert torch.equal(model(x), own(x))
        assert torch.equal(full, model(x))
        assert candidate.bits.all() or not torch.allclose(full, own(x))


def test_each_step_is_another_sub_architecture_and_then_all_operations_run_again(whole):
    model, _ = whole
    edges = [edge for cell in model.cells for edge in cell.edges]
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        with model.paths():
            drawn.append(tuple(edge.dropped for edge in edges))
        assert all(edge.dropped == () for edge in edges)
    assert drawn[0] == drawn[1] != drawn[2]
    assert len({drawn[0][k : k + 14] for k in (0, 14, 28)}) == 3  # cells of their own
    shared = supernet(**SHAPE, drop=0.25)
    torch.manual_seed(0)
    dropped = []
    for _ in range(100):
        with shared.paths():
            cells = {tuple(edge.dropped for edge in cell.edges) for cell in shared.cells}
            assert len(cells) == 1
            dropped.append(sum(len(edge) for edge in cells.pop()) / 28)
    assert np.mean(dropped) == pytest.approx(0.25, abs=0.03)
    with pytest.raises(UsageError, match=r"drop = 1"):
        supernet(**SHAPE, drop=1.0)


def test_dropped_operations_get_no_gradient(whole):
    model, x = whole
    candidate = sampled(7, 1, 3)[0]
    with model.train().only(candidate.bits.tolist()):
        model(x).sum().backward()
    for cell, row in zip(model.cells, candidate.bits, strict=True):
        for place, edge in enumerate(cell.edges):
            convolution = edge.operations[1]
            learns = any(parameter.grad is not None for parameter in convolution.parameters())
            assert learns == bool(row[2 * place + 1])
    model.zero_grad(set_to_none=True)


def test_fsp_matrix_by_hand():
    before = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])  # one channel of 2x2
    after = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]], [[2.0, 2.0], [2.0, 2.0]]]])
    assert fsp_matrix(before, after).tolist() == [[[(1 + 4) / 4, 2 * 10 / 4]]]
    halved = torch.tensor([[[[5.0]]]])
    assert fsp_matrix(before, halved).tolist() == [[[4 * 5.0]]]  # the largest of the four


def test_fsp_distances_are_means_of_squared_norms_and_zero_for_the_same_images(whole):
    model, x = whole
    model.eval().requires_grad_(False)
    assert fsp_distances(model, x, x) == [0.0] * 3
    other = (x + 0.1 * torch.rand_like(x)).clamp(0, 1)
    features = {}
    for key, images in (("x", x), ("other", other)):
        older = model.stem(images)
        newer = model.second(older)
        for index, cell in enumerate(model.cells):
            older, newer, inside = newer, cell(older, newer), newer
            if inside.shape[-1] != newer.shape[-1]:
                inside = torch.nn.functional.max_pool2d(inside, inside.shape[-1] // newer.shape[-1])
            area = newer.shape[-1] * newer.shape[-2]
            features[key, index] = torch.einsum("bchw,bdhw->bcd", inside, newer) / area
    expected = [
        float(sum(torch.linalg.matrix_norm(gap) ** 2 for gap in features["x", k] - features["other", k]) / len(x))
        for k in range(3)
    ]
    assert fsp_distances(model, x, other) == pytest.approx(expected, rel=1e-4)
