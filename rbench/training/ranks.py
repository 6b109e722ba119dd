"""The processes that share a training: those that torchrun starts, or this one alone."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from rbench.errors import RbenchError, UsageError


def shared() -> bool:
    """Whether torchrun started several processes for one training."""
    return _variable("WORLD_SIZE", 1) > 1


@dataclass(frozen=True)
class Ranks:
    """One of `world` equal processes, which hold the same bits after every step."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes the files and talks to the user."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all ranks, in its place."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def together(self, tensors: Iterable[Tensor], share: float = 1.0) -> None:
        """Replace tensors by their sums over all ranks, each weighted by its `share`, in one message.

        One message after the backward pass, and not hooks that send while it runs (DistributedDataParallel): a step
        of adversarial training passes the network forwards many times before and backwards several times after, which
        hooks do not expect, and takes so long that the message hardly counts.
        """
        given = list(tensors)
        if self.world == 1 or not given:
            return
        flat = share * torch.cat([tensor.detach().flatten() for tensor in given])
        dist.all_reduce(flat)
        for tensor, part in zip(given, flat.split([tensor.numel() for tensor in given]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def any(self, wanted: bool, device: torch.device) -> bool:
        """Whether any rank wants something; all must ask at the same place."""
        return bool(self.total(torch.tensor(float(wanted), device=device)) > 0)

    def mean(self, value: float, device: torch.device) -> float:
        """The mean of a number over all ranks, so that all decide alike."""
        return float(self.total(torch.tensor(value, dtype=torch.float64, device=device)) / self.world)

    def told(self, do: Callable[[], Any], device: torch.device) -> Any:
        """What the first rank gets when it does something, told to all; only it must see the files.

        The others wait for it, and an error that the user can mend is raised by all: none is left waiting for another.
        """
        if self.world == 1:
            return do()
        answer: list[Any] = [None, None]
        if self.first:
            try:
                answer[0] = do()
            except RbenchError as error:
                answer[1] = error
        dist.broadcast_object_list(answer, device=device)
        if answer[1] is not None:
            raise answer[1]
        return answer[0]

    def gradients(self, model: nn.Module) -> None:
        """Sum all gradients over the ranks; where a rank had no samples its gradients are zeros."""
        if self.world > 1:
            for parameter in model.parameters():
                if parameter.grad is None and parameter.requires_grad:
                    parameter.grad = torch.zeros_like(parameter)
            self.together(parameter.grad for parameter in model.parameters() if parameter.grad is not None)


MEETING = ("RANK", "MASTER_ADDR", "MASTER_PORT")  # what ranks find each other by; torchrun sets it


def speaks() -> bool:
    """Whether this process is the one of its training that writes files and talks to the user."""
    return _variable("RANK", 0) == 0


ALONE = Ranks()


@contextmanager
def joined(device: str | None) -> Iterator[tuple[Ranks, torch.device]]:
    """The ranks that torchrun's variables describe, and the device of this one; all of them meet here.

    Raises `UsageError` for a world of no processes, a rank outside it, and a GPU that is not there.
    """
    world, rank = _variable("WORLD_SIZE", 1), _variable("RANK", 0)
    if world < 1:
        raise UsageError(f"WORLD_SIZE = {world} is no number of processes; start at least 1, or do without torchrun.")
    if not 0 <= rank < world:
        raise UsageError(f"RANK = {rank} is none of the {world} processes of WORLD_SIZE, which count from 0.")
    if world > 1 and (lacking := [name for name in MEETING if name not in os.environ]):
        raise UsageError(f"WORLD_SIZE = {world}, but {' and '.join(lacking)} are not set; start ranks by torchrun.")
    where = chosen(device, _variable("LOCAL_RANK", 0) if world > 1 else None)
    if where.type == "cuda":
        torch.cuda.set_device(where)
    if world == 1:
        yield Ranks(), where
        return
    dist.init_process_group("nccl" if where.type == "cuda" else "gloo", rank=rank, world_size=world)
    try:
        yield Ranks(rank, world), where
    finally:
        dist.destroy_process_group()


def chosen(device: str | None, local: int | None = None) -> torch.device:
    """The device of that name, by default a GPU where there is one; ranks have those of their number, `local`.

    Raises `UsageError` for a GPU that is not there, for one that all ranks would share, and for other devices.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    name = device or ("cuda" if count else "cpu")
    try:
        where = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"device = {name!r} is no device; choose cpu, cuda or cuda:1.") from error
    if where.type not in ("cpu", "cuda"):
        raise UsageError(f"device = {name!r} cannot be used; choose cpu, cuda or cuda:1.")
    if where.type == "cpu":
        return where
    if local is not None and where.index is not None:
        raise UsageError(f"device = {name!r} would be shared by all ranks; write cuda, and each takes its own.")
    index = where.index if where.index is not None else local or 0
    if index >= count:
        found = f"only {count}" if count else "none"
        raise UsageError(
            f"device = {name!r} asks for GPU {index}, and PyTorch sees {found}. Leave out --device, or cpu."
        )
    return torch.device("cuda", index)


def _variable(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{name} = {text!r} must be a whole number; torchrun sets it.") from None
