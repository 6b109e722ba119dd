"""Feature denoising, by hand and in its places."""

import math

import torch

from rbench.models.denoise import Denoise
from rbench.models.robnet import robnet


def test_the_mean_by_hand():
    torch.manual_seed(0)
    block = Denoise(6).eval().requires_grad_(False)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_()
    h = torch.randn(2, 6, 2, 3)
    theta, phi, conv = (part.weight.view(len(part.weight), 6) for part in (block.theta, block.phi, block.conv))
    expected = torch.empty_like(h)
    for sample in range(2):
        places = h[sample].view(6, 6).T  # a row for each of the six places
        for at, here in enumerate(places):
            alike = [math.exp(float((theta @ here) @ (phi @ there)) / math.sqrt(3)) for there in places]
            mean = sum(weight * there for weight, there in zip(alike, places, strict=True)) / sum(alike)
            added = (conv @ mean) / math.sqrt(1 + 1e-5) * block.bn.weight + block.bn.bias
            expected[sample].view(6, 6)[:, at] = here + added
    assert torch.allclose(block(h), expected, atol=1e-4)


def test_a_block_starts_as_the_identity():
    h = torch.randn(3, 8, 4, 4)
    assert torch.equal(Denoise(8)(h), h)


def test_robnets_are_denoised_after_reductions_and_at_the_end():
    torch.manual_seed(0)
    plain = robnet("free", 2, 20, 10)
    denoised = robnet("free", 2, 20, 10, denoise=True)
    assert [index for index, part in enumerate(denoised.after) if isinstance(part, Denoise)] == [6, 13, 19]
    assert not any(isinstance(part, Denoise) for part in plain.after)
    assert [denoised.after[index].conv.out_channels for index in (6, 13, 19)] == [16, 32, 32]
    denoised.load_state_dict(plain.state_dict(), strict=False)
    x = torch.rand(2, 3, 32, 32)
    assert torch.allclose(denoised.eval()(x), plain.eval()(x), atol=1e-5)
    with torch.no_grad():
        denoised.after[6].bn.weight.fill_(1.0)
    assert not torch.allclose(denoised(x), plain(x), atol=1e-5)


def test_a_last_cell_that_reduces_is_denoised_once():
    net = robnet("large", 2, 2, 10, denoise=True)
    assert sum(isinstance(part, Denoise) for part in net.modules()) == 2
