"""Models in float64 and in half precision: asked in float32, judged as given, never more robust for their rounding."""

import numpy as np
import pytest
import torch
from torch import nn

import rbench
from rbench.errors import ModelError
from rbench.models.linear import linear
from rbench.models.precision import Cast, in_float32
from rbench.models.twin import accelerate


class Fine(nn.Module):
    """Tells 1 + 1e-12 from 1, which only float64 can."""

    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x):
        z = x.flatten(1)[:, :2] + self.one * 1e-12
        return (z - x.flatten(1)[:, :2]) * 1e12


def test_a_float64_model_computes_in_float64():
    model = in_float32(Fine())
    logits = model(torch.zeros(3, 1, 1, 2))
    assert logits.dtype == torch.float32
    assert torch.allclose(logits, torch.ones(3, 2), atol=1e-3)


def test_a_float32_model_is_left_alone():
    model = linear(4, 2)
    assert in_float32(model) is model


def test_a_mixture_of_types_is_refused_with_the_remedy():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Linear(4, 2).double())
    with pytest.raises(ModelError, match=r"several types \(float32, float64\); convert it to one"):
        in_float32(model)


def test_half_precision_is_attacked_in_float32():
    model = linear(12, 3).bfloat16()
    x = torch.rand(8, 3, 2, 2)
    twin = accelerate(in_float32(model), x)
    assert not any(isinstance(part, Cast) for part in twin.modules())
    assert all(parameter.dtype == torch.float32 for parameter in twin.parameters())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_an_evaluation_gives_about_the_numbers_of_float32(dtype, suite):
    catalog = suite(args="{ steps = 5 }")
    scores = {}
    for kind in (torch.float32, dtype):
        model = rbench.load_model("standard-digits").to(kind)
        run = rbench.evaluate(model, "quick", limit=40, catalog=catalog, workers=1)
        scores[kind] = {name: score.value for name, score in run.scores.items()}
    assert scores[dtype]["clean"] > 0.9
    assert np.abs(scores[dtype]["second"] - scores[torch.float32]["second"]) <= 0.05
