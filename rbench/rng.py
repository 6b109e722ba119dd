"""Counter-based randomness: every number is a pure function of (seed, stream, sample, draw) and of nothing else.

Results therefore do not depend on batch size, order, shard or on where a run was resumed, nor on the device.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from rbench.errors import UsageError

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


def philox4x32(counter: Sequence[Tensor], key: tuple[int, int]) -> tuple[Tensor, ...]:
    """Philox4x32-10: four random 32-bit words for each of four broadcastable int64 counter words in [0, 2^32).

    Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        # int64 products wrap modulo 2^64; the arithmetic shift's sign bits fall to the mask.
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        high0, high1 = (product0 >> 32) & _MASK, (product1 >> 32) & _MASK
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, product1 & _MASK, high0 ^ c3 ^ k1, product0 & _MASK
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return c0, c1, c2, c3


def stream_key(seed: int, stream: str) -> tuple[int, int]:
    """The Philox key of a named stream under a seed."""
    word = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return int.from_bytes(word[:4], "little"), int.from_bytes(word[4:8], "little")


def checked_seed(seed: Any) -> int:
    """A seed that a user gave, as an int in [0, 2^31); raises `UsageError` for others, for True and for 1.0.

    Streams are named by the seed's text, in which these would not be 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= int(seed) < 2**31:
        raise UsageError(f"seed = {seed!r} must lie in 0..2^31 - 1 and be an integer.")
    return int(seed)


def seed_of(seed: int, *words: str | int) -> int:
    """A seed in [0, 2^63) for torch's global generators: a pure function of a seed and some words."""
    word = hashlib.sha256("/".join(map(str, (seed, *words))).encode()).digest()
    return int.from_bytes(word[:8], "little") >> 1


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators, of the CPU and of a device, for a while; they are as they were afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


class Draws:
    """Random numbers for a batch of samples, each with a stream of its own."""

    def __init__(self, seed: int, stream: str, samples: Tensor) -> None:
        self.seed, self.stream, self.samples = seed, stream, samples
        self._key = stream_key(seed, stream)

    def take(self, rows: Tensor) -> "Draws":
        """The same streams for some rows of the batch only."""
        return Draws(self.seed, self.stream, self.samples[rows])

    def named(self, name: str) -> "Draws":
        """Other streams for the same samples, for one stage of an attack that has several."""
        return Draws(self.seed, f"{self.stream}/{name}", self.samples)

    def words(self, count: int, draw: int) -> Tensor:
        """Random 32-bit words as int64, shape [B, count]; `draw` numbers the requests of one attack."""
        blocks = torch.arange(-(-count // 4), device=self.samples.device)
        sample = self.samples[:, None]
        zero = torch.zeros_like(sample)
        counter = (blocks[None, :] + zero, sample & _MASK, sample >> 32, zero + draw)
        return torch.stack(philox4x32(counter, self._key), dim=-1).flatten(1)[:, :count]

    def uniform(self, shape: Sequence[int], *, draw: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
        """Uniform numbers in [0, 1) with 24 random bits, shape [B, *shape]."""
        words = self.words(math.prod(shape), draw)
        return ((words >> 8).to(dtype) * 2.0**-24).view(len(words), *shape)

    def normal(self, shape: Sequence[int], *, draw: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal numbers, shape [B, *shape], by Box and Muller's transform in float64."""
        count = math.prod(shape)
        words = self.words(2 * count, draw).double()
        radius = torch.sqrt(-2 * torch.log((words[:, :count] + 1) * 2.0**-32))
        angle = 2 * math.pi * words[:, count:] * 2.0**-32
        return (radius * torch.cos(angle)).to(dtype).view(len(words), *shape)

    def integer(self) -> int:
        """One seed in [0, 2^31) for the whole batch, for third-party code that knows only global seeds."""
        word = hashlib.sha256(self.samples.cpu().numpy().tobytes()).digest()
        return (int.from_bytes(word[:4], "little") ^ self._key[0]) & 0x7FFFFFFF
