"""What each way to a faster twin gives, side by side in one run: a forward and a backward pass of 100 images.

Run with: pytest tests/benchmarks/test_twin_speed.py --benchmark-only
"""

import copy
import shutil

import numpy as np
import pytest
import torch
from torch import nn

import rbench
from rbench.data.digits import digits
from rbench.models.twin import _fold

BATCH = 100


class Bf16(nn.Module):
    """Gradients in bfloat16: autocast inside, logits in float32 outside."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.inner(x).float()


def compiled(model):
    if shutil.which("c++") is None and shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler on a CPU")
    return torch.compile(model)


WAYS = {
    "as given": lambda model: model,
    "folded": _fold,
    "channels_last": lambda model: copy.deepcopy(model).to(memory_format=torch.channels_last),
    "folded, channels_last": lambda model: _fold(model).to(memory_format=torch.channels_last),
    "folded, channels_last, compiled": lambda model: compiled(_fold(model).to(memory_format=torch.channels_last)),
    "folded, channels_last, bf16": lambda model: Bf16(_fold(model).to(memory_format=torch.channels_last)),
}


@pytest.mark.benchmark(group="forward and backward pass of the twin")
@pytest.mark.filterwarnings("default")  # the compiler's own
@pytest.mark.parametrize("way", WAYS)
def test_twin(benchmark, way):
    x = torch.from_numpy(digits("test").images(np.arange(BATCH))).float() / 255
    model = WAYS[way](rbench.load_model("at-digits").requires_grad_(False))

    def both():
        point = x.detach().requires_grad_()
        (grad,) = torch.autograd.grad(model(point).logsumexp(1).sum(), point)
        return grad

    assert benchmark.pedantic(both, rounds=30, warmup_rounds=5).shape == x.shape
