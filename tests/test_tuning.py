import time

import pytest
import torch
from torch import nn

from rbench.tuning import DEFAULT_BATCH, quickest_batch


class Costly(nn.Module):
    """Costs CPU time for every call, or for every image beyond the first hundred."""

    def __init__(self, per_call=0.0, per_extra=0.0):
        super().__init__()
        self.per_call, self.per_extra = per_call, per_extra

    def forward(self, x):
        end = time.process_time() + self.per_call + self.per_extra * max(0, len(x) - DEFAULT_BATCH)
        while time.process_time() < end:
            pass
        return x.mean((2, 3))


@pytest.mark.parametrize(("costs", "expected"), [({"per_call": 0.02}, 200), ({"per_extra": 0.001}, DEFAULT_BATCH)])
def test_the_batch_size_follows_the_cost(costs, expected):
    assert quickest_batch(Costly(**costs), torch.rand(20, 3, 8, 8)) == expected


def test_small_differences_do_not_choose():
    """A fixed cost of a fifth of a pass makes 200 a little quicker an image than 50, but not worth while."""
    cost = Costly(per_call=0.001)
    original = cost.forward

    def forward(x):
        end = time.process_time() + 1e-4 * len(x)
        while time.process_time() < end:
            pass
        return original(x)

    cost.forward = forward
    assert quickest_batch(cost, torch.rand(20, 3, 8, 8)) == DEFAULT_BATCH


def test_a_model_without_gradient_is_measured_all_the_same():
    model = nn.Flatten()
    assert quickest_batch(lambda x: model(x).round().detach(), torch.rand(20, 3, 8, 8)) > 0
