"""Where corruptions get their random numbers: from streams, one a sample, or from what a test injects."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
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
    """Counter-based random numbers: the k-th request of a sample is a pure function of (seed, stream, sample, k).

    The words are those of NumPy's bit generator Philox, which its specification fixes (Salmon, Moraes, Dror and Shaw,
    "Parallel random numbers: as easy as 1, 2, 3", SC 2011). They are made on the CPU, whose generator takes a quarter
    of a millisecond for an image of 224 x 224 pixels, so that every device sees the same.
    """

    def __init__(self, draws: Draws) -> None:
        self._samples, self._device, self._requests = draws.samples.tolist(), draws.samples.device, 0
        key = hashlib.sha256(f"{draws.seed}/{draws.stream}".encode()).digest()
        self._philox = np.random.Philox(key=np.frombuffer(key[:16], "<u8"))
        self._fresh = self._philox.state

    def _words(self, count: int) -> Tensor:
        """Random 32-bit words as int32, [B, count]; the counter's upper words hold the request and the sample."""
        self._requests += 1
        words = np.empty((len(self._samples), -(-count // 2)), "<u8")
        for row, sample in zip(words, self._samples, strict=True):
            self._fresh["state"]["counter"] = np.array([0, 0, self._requests, sample], np.uint64)
            self._philox.state = self._fresh
            row[:] = self._philox.random_raw(len(row))
        return torch.from_numpy(words.view("<i4")[:, :count]).to(self._device)

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Standard normal numbers by Box and Muller's transform, two of two words, float32."""
        count = math.prod(shape)
        half = -(-count // 2)
        words = self._words(2 * half)
        radius = (words[:, :half] & 0x7FFFFFFF).float().add_(1).mul_(2.0**-31).log_().mul_(-2).sqrt_()
        angle = words[:, half:].float().mul_(2 * math.pi * 2.0**-32)
        both = torch.stack([torch.cos(angle).mul_(radius), angle.sin_().mul_(radius)], 1)
        return both.flatten(1)[:, :count].view(-1, *shape)

    def uniform(self, shape: Sequence[int], low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform numbers in [low, high), up to rounding, with 24 random bits, float32."""
        bits = (self._words(math.prod(shape)) >> 8) & 0xFFFFFF
        return bits.float().mul_((high - low) * 2.0**-24).add_(low).view(-1, *shape)

    def integers(self, shape: Sequence[int], low: int, high: int) -> Tensor:
        """Uniform whole numbers in [low, high), int64; the bias is below (high - low) / 2^32."""
        words = self._words(math.prod(shape)).long()  # signed: from -2^31 on
        return words.mul_(high - low).add_((high - low << 31) + (low << 32)).bitwise_right_shift_(32).view(-1, *shape)

    def poisson(self, x: Tensor, scale: float) -> Tensor:
        """Poisson numbers of rate x * scale <= 60000 by the alias method, for x [B, ...] in multiples of 1/255."""
        threshold, numbers, columns = _poisson_tables(scale, x.device)
        bits = 33 - columns.bit_length()
        words = self._words(math.prod(x.shape[1:])).reshape(-1)
        cell = (x * 255).round().int().view(-1).mul_(columns).add_((words >> bits).bitwise_and_(columns - 1))
        own = words.bitwise_and_((1 << bits) - 1) < threshold.index_select(0, cell)
        pair = numbers.index_select(0, cell)
        return torch.where(own, pair >> 16, pair).bitwise_and_(0xFFFF).float().view(x.shape)


@lru_cache(maxsize=64)
def _poisson_tables(scale: float, device: torch.device) -> tuple[Tensor, Tensor, int]:
    """An alias table for each level of a byte, int32 [256 * columns]: thresholds, own << 16 | other number; columns.

    A word's upper bits choose a column, its lower bits one of the column's two numbers: its own one below the
    threshold. Walker, "An efficient method for generating discrete random variables with general distributions", ACM
    Transactions on Mathematical Software 1977, in whole numbers: probabilities are multiples of 2^-32.
    """
    from scipy.stats import poisson

    rates = np.arange(256)[:, None] / 255 * scale
    first = np.nan_to_num(poisson.ppf(2.0**-33, rates)).clip(0)
    last = np.nan_to_num(poisson.isf(2.0**-33, rates))
    columns = max(4, 1 << int((last - first).max()).bit_length())  # four or more, so that thresholds fit 31 bits
    numbers = first.astype(np.int64) + np.arange(columns)
    below = np.rint(poisson.cdf(numbers, rates) * 2.0**32).astype(np.int64)
    below[:, -1] = 1 << 32
    threshold, other = _aliases(np.diff(below, prepend=0))
    pairs = numbers << 16 | np.take_along_axis(numbers, other, 1)
    tables = (torch.from_numpy(part.astype(np.int32).ravel()).to(device) for part in (threshold, pairs))
    return next(tables), next(tables), columns


def _aliases(weights: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each row of weights of mean m the threshold of each column and the column that fills the rest up to m.

    One sweep from both ends of the sorted columns: while the fullest holds more than m it fills up the emptiest, else
    the second fullest fills it up.
    """
    order = weights.argsort(1)
    rows, (count, columns) = np.arange(len(weights)), weights.shape
    mean, sort = weights.sum(1) // columns, np.take_along_axis(weights, order, 1)
    threshold, other = np.empty_like(weights), np.empty_like(weights)
    low, high, held = np.zeros(count, np.int64), np.full(count, columns - 1), sort[:, -1]
    for _ in range(columns):
        rich = held > mean
        done, helper = np.where(rich, low, high), np.where(rich, high, high - 1)
        threshold[rows, order[rows, done]] = np.where(rich, sort[rows, low], held)
        other[rows, order[rows, done]] = order[rows, helper]
        held = held + sort[rows, np.where(rich, low, high - 1)] - mean
        low, high = low + rich, high - ~rich
    return threshold, other


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
