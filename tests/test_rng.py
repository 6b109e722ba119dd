import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rbench.rng import Draws, philox4x32

# Known answers that Random123, the authors' library, publishes for philox4x32-10.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_philox_gives_the_published_answers(counter, key, expected):
    words = philox4x32([torch.tensor([word]) for word in counter], key)
    assert tuple(int(word) for word in words) == expected


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=6, unique=True), st.integers(0, 3), st.randoms())
def test_a_sample_draws_the_same_numbers_in_any_company_and_order(samples, draw, random):
    together = Draws(7, "pgd20", torch.tensor(samples)).uniform((2, 3), draw=draw)
    shuffled = random.sample(range(len(samples)), len(samples))
    taken = Draws(7, "pgd20", torch.tensor(samples)).take(torch.tensor(shuffled)).uniform((2, 3), draw=draw)
    for row, index in enumerate(shuffled):
        alone = Draws(7, "pgd20", torch.tensor(samples[index : index + 1])).uniform((2, 3), draw=draw)
        assert torch.equal(together[index], alone[0])
        assert torch.equal(taken[row], alone[0])


def test_seed_stream_sample_and_draw_each_change_the_numbers():
    base = Draws(0, "a", torch.tensor([5])).uniform((64,))
    others = [
        Draws(1, "a", torch.tensor([5])).uniform((64,)),
        Draws(0, "b", torch.tensor([5])).uniform((64,)),
        Draws(0, "a", torch.tensor([6])).uniform((64,)),
        Draws(0, "a", torch.tensor([5 + 2**32])).uniform((64,)),
        Draws(0, "a", torch.tensor([5])).uniform((64,), draw=1),
    ]
    assert all((base != other).float().mean() > 0.9 for other in others)


def test_uniform_and_normal_have_the_right_moments():
    draws = Draws(0, "moments", torch.arange(200))
    uniform = draws.uniform((1000,), dtype=torch.float64).flatten()
    normal = draws.normal((1001,), draw=1, dtype=torch.float64).flatten()
    assert 0 <= uniform.min() < 1e-4
    assert 1 - 1e-4 < uniform.max() < 1
    bound = 4 / len(uniform) ** 0.5  # four standard errors
    assert abs(uniform.mean() - 0.5) < bound * 12**-0.5
    assert abs(uniform.var() - 1 / 12) < bound * 180**-0.5
    assert abs(normal.mean()) < bound
    assert abs(normal.var() - 1) < bound * 2**0.5
    assert abs((normal**4).mean() - 3) < bound * 96**0.5
    assert torch.isfinite(normal).all()


def test_one_seed_for_a_block_depends_on_the_block():
    seeds = {Draws(seed, "aa", torch.arange(n)).integer() for seed in (0, 1) for n in (99, 100)}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**31 for seed in seeds)
