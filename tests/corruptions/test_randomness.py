"""Streams: Philox's words, the distributions, and that a sample's numbers depend on nothing but its own counter."""

import hashlib

import numpy as np
import pytest
import torch
from scipy import stats

from rbench.corruptions.randomness import Replay, Stream
from rbench.rng import Draws

MASK = 2**64 - 1


def stream(samples, seed=0, name="a"):
    return Stream(Draws(seed, name, torch.as_tensor(samples)))


def philox4x64(counter, key):
    """Philox4x64-10 as Salmon et al. define it, in Python's whole numbers."""
    for _ in range(10):
        left, right = 0xD2E7470EE14C6C93 * counter[0], 0xCA5A826395121157 * counter[2]
        counter = [right >> 64 ^ counter[1] ^ key[0], right & MASK, left >> 64 ^ counter[3] ^ key[1], left & MASK]
        key = [(key[0] + 0x9E3779B97F4A7C15) & MASK, (key[1] + 0xBB67AE8584CAA73B) & MASK]
    return counter


def test_the_words_are_philox_of_request_and_sample():
    rng = stream([5, 2**40])
    rng.uniform((3,))
    found = rng._words(16).numpy().view("<u8")
    material = hashlib.sha256(b"0/a").digest()
    key = [int.from_bytes(material[:8], "little"), int.from_bytes(material[8:16], "little")]
    for row, sample in zip(found, (5, 2**40), strict=True):
        # NumPy counts up before a block, so the first has the number 1; this is the second request.
        assert row.tolist() == philox4x64([1, 0, 2, sample], key) + philox4x64([2, 0, 2, sample], key)


def test_philox_gives_the_published_answer():
    # Known answer of the authors' library Random123 for counter and key of zeros.
    assert philox4x64([0] * 4, [0] * 2)[0] == 0x16554D9ECA36314C


@pytest.mark.parametrize("request_", ["normal", "uniform", "integers", "poisson"])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 32, 32)], ids=str)
def test_numbers_do_not_depend_on_who_shares_the_batch(request_, shape):
    def ask(samples):
        rng = stream(samples)
        rng.uniform(())
        if request_ == "poisson":
            return rng.poisson(torch.full((len(samples), *shape), 100 / 255), 60)
        return getattr(rng, request_)(shape, *((-4, 9) if request_ == "integers" else ()))

    together = ask([3, 0, 8, 1, 2, 40])
    assert together.shape == (6, *shape)
    assert torch.equal(together[[5]], ask([40]))
    assert torch.equal(together[[3, 0, 4]], ask([1, 3, 2]))


def test_every_request_seed_stream_and_sample_has_numbers_of_its_own():
    rng = stream([0, 1])
    one, two = rng.uniform((4,)), rng.uniform((4,))
    rows = [*one, *two, *stream([0], seed=1).uniform((4,)), *stream([0], name="b").uniform((4,))]
    assert len({tuple(row.tolist()) for row in rows}) == 6


def test_normal_numbers_are_normal_and_reach_far():
    numbers = stream(range(8)).normal((100_001,)).double().numpy()
    assert stats.kstest(numbers.ravel(), "norm").pvalue > 0.01
    assert stats.kstest(numbers[:, ::2].ravel(), "norm").pvalue > 0.01
    assert 4.3 < np.abs(numbers).max() < 6.6
    # The two numbers of a pair of words are independent, and so are neighbours.
    half = 50_001
    assert abs(np.corrcoef(numbers[:, : half - 1].ravel(), numbers[:, half:].ravel())[0, 1]) < 0.006
    assert abs(np.corrcoef(numbers[:, :-1].ravel(), numbers[:, 1:].ravel())[0, 1]) < 0.006
    assert abs(np.corrcoef(np.abs(numbers[:, : half - 1]).ravel(), np.abs(numbers[:, half:]).ravel())[0, 1]) < 0.006


def test_uniform_numbers_fill_their_interval():
    numbers = stream(range(8)).uniform((50_000,), -45, 45)
    assert stats.kstest(numbers.double().numpy().ravel(), "uniform", (-45, 90)).pvalue > 0.01
    assert numbers.min() >= -45
    assert numbers.max() <= 45
    assert stream(range(100)).uniform(()).shape == (100,)


@pytest.mark.parametrize(("low", "high"), [(-4, 4), (0, 5), (-1, 2)])
def test_whole_numbers_are_equally_frequent(low, high):
    numbers = stream(range(4)).integers((30_000,), low, high)
    values, counts = numbers.unique(return_counts=True)
    assert values.tolist() == list(range(low, high))
    assert stats.chisquare(counts.numpy()).pvalue > 0.01


@pytest.mark.parametrize("scale", [3, 60, 500])
@pytest.mark.parametrize("level", [0, 1, 90, 255])
def test_poisson_numbers_have_their_distribution(scale, level):
    x = torch.full((4, 25_000), level) / 255
    numbers = stream(range(4)).poisson(x, scale).numpy().ravel()
    rate = level / 255 * scale
    if level == 0:
        assert not numbers.any()
        return
    edges = np.unique(stats.poisson.ppf(np.linspace(0.01, 0.99, 12), rate))
    expected = np.diff([0, *stats.poisson.cdf(edges, rate), 1]) * len(numbers)
    found = np.bincount(np.searchsorted(edges, numbers), minlength=len(expected))
    assert stats.chisquare(found, expected).pvalue > 0.001
    assert abs(numbers.mean() - rate) < 4 * np.sqrt(rate / len(numbers))


def test_poisson_tables_hold_the_probabilities_to_the_last_bit():
    from rbench.corruptions.randomness import _poisson_tables

    threshold, pairs, columns = _poisson_tables(25, torch.device("cpu"))
    threshold, pairs = (part.numpy().astype(np.int64).reshape(256, columns) for part in (threshold, pairs))
    for level in (0, 1, 128, 255):
        weights = np.zeros(200, np.int64)
        np.add.at(weights, pairs[level] >> 16, threshold[level])
        np.add.at(weights, pairs[level] & 0xFFFF, 2**32 // columns - threshold[level])
        assert np.abs(weights / 2**32 - stats.poisson.pmf(np.arange(200), level / 255 * 25)).max() < 2.0**-32


def test_a_replay_gives_what_it_was_given_and_minds_shapes():
    angles, noise = torch.tensor([1.0, 2.0]), torch.zeros(2, 3, 4, 4)
    rng = Replay([angles, noise])
    assert rng.uniform((), -45, 45) is angles
    with pytest.raises(ValueError, match=r"shape \[3, 4, 4\], asked for \[3, 5, 5\]"):
        rng.normal((3, 5, 5))
