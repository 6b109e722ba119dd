"""Where corruptions get their random numbers: from streams, one a sample, or from what a test injects."""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from rbench.rng import Draws


class Randomness(Protocol):
    """Answers requests for a batch of B samples; each answer has the shape [B, *shape]."""

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Standard normal numbers, float32."""
        ...

    def uniform(self, shape: Sequence[int], low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform numbers in [low, high), float32."""
        ...

    def integers(self, shape: Sequence[int], low: int, high: int) -> Tensor:
        """Uniform whole numbers in [low, high), int64."""
        ...

    def poisson(self, x: Tensor, scale: float) -> Tensor:
        """Poisson numbers of rate x * scale, where x [B, ...] holds multiples of 1/255; float32."""
        ...


class Stream:
    """Counter-based random numbers: the k-th request of a sample is a pure function of (seed, stream, sample, k)."""

    def __init__(self, draws: Draws) -> None:
        self._draws, self._requests = draws, 0

    def _words(self, count: int) -> Tensor:
        self._requests += 1
        return self._draws.words(count, self._requests)

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Standard normal numbers by Box and Muller's transform, two of two words, float32."""
        count = math.prod(shape)
        half = -(-count // 2)
        words = self._words(2 * half)
        radius = torch.sqrt(-2 * torch.log((words[:, :half] + 1).float() * 2.0**-32))
        angle = words[:, half:].float() * (2 * math.pi * 2.0**-32)
        both = torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], 1)
        return both[:, :count].view(len(words), *shape)

    def uniform(self, shape: Sequence[int], low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform numbers in [low, high) with 24 random bits, float32."""
        words = self._words(math.prod(shape))
        return ((words >> 8).float() * ((high - low) * 2.0**-24) + low).view(len(words), *shape)

    def integers(self, shape: Sequence[int], low: int, high: int) -> Tensor:
        """Uniform whole numbers in [low, high), int64; the bias is below (high - low) / 2^32."""
        words = self._words(math.prod(shape))
        return ((words * (high - low) >> 32) + low).view(len(words), *shape)

    def poisson(self, x: Tensor, scale: float) -> Tensor:
        """Poisson numbers of rate x * scale by inversion, for x [B, ...] in multiples of 1/255; float32."""
        words = self._words(math.prod(x.shape[1:])).view(x.shape)
        table, offsets = _poisson_tables(scale)
        table, offsets = table.to(x.device), offsets.to(x.device)
        # One sorted table of level + P(N <= k | level) for all levels: a single search finds level and k at once.
        levels = (x * 255).round().long()
        keys = levels.double() + (words.double() + 0.5) * 2.0**-32
        return (torch.searchsorted(table, keys) - offsets[levels]).float()


@lru_cache(maxsize=32)
def _poisson_tables(scale: float) -> tuple[Tensor, Tensor]:
    """For the 256 levels of a byte: level + the distribution function, one after the other, and where each begins."""
    from scipy.stats import poisson

    rates = np.arange(256) / 255 * scale
    tables = []
    for level, rate in enumerate(rates):
        most = int(poisson.isf(2.0**-33, rate)) + 1 if rate > 0 else 0
        values = poisson.cdf(np.arange(most + 1), rate)
        values[-1] = 1.0
        tables.append(level + values)
    offsets = np.cumsum([0, *(len(table) for table in tables[:-1])])
    return torch.from_numpy(np.concatenate(tables)), torch.from_numpy(offsets)


class Replay:
    """Answers requests from numbers that were recorded elsewhere, each [B, *shape], in their order."""

    def __init__(self, answers: Iterable[Tensor]) -> None:
        self._answers = iter(answers)

    def _next(self, shape: Sequence[int]) -> Tensor:
        answer = next(self._answers)
        if tuple(answer.shape[1:]) != tuple(shape):
            raise ValueError(f"the recorded answer has the shape {list(answer.shape[1:])}, asked for {list(shape)}.")
        return answer

    def normal(self, shape: Sequence[int]) -> Tensor:
        """The next answer: standard normal numbers."""
        return self._next(shape)

    def uniform(self, shape: Sequence[int], low: float = 0.0, high: float = 1.0) -> Tensor:  # noqa: ARG002
        """The next answer: numbers in [low, high)."""
        return self._next(shape)

    def integers(self, shape: Sequence[int], low: int, high: int) -> Tensor:  # noqa: ARG002
        """The next answer: whole numbers in [low, high)."""
        return self._next(shape)

    def poisson(self, x: Tensor, scale: float) -> Tensor:  # noqa: ARG002
        """The next answer: Poisson numbers of the shape of x."""
        return self._next(x.shape[1:])
