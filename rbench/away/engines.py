"""What runs the work besides this process: processes of this machine, or the workers of a Ray cluster."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rbench.errors import UsageError, unknown

if TYPE_CHECKING:
    from rbench.workers import Away

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Engine:
    """`local`, or `ray`: the cluster at `address` (host:port), whose workers get the share `gpus` of a GPU each."""

    name: str = "local"
    address: str | None = None
    gpus: float | None = None

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise unknown("engine", self.name, ENGINES)
        if not self.away and (self.address, self.gpus) != (None, None):
            raise UsageError(f"{'--address' if self.address else '--gpus'} goes with --engine ray.")

    @property
    def away(self) -> bool:
        """Whether workers may be on other machines."""
        return self.name != "local"

    def workers(self, count: int | None, device: str) -> "Away":
        """So many workers away, None for as many as there is room for; raises `UsageError` where there is none."""
        from rbench.away import on_ray

        return on_ray.workers(count, self.address, device, 1.0 if self.gpus is None else self.gpus)


LOCAL = Engine()
