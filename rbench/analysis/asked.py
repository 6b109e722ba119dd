"""What an analysis that looks at images itself is asked about."""

from dataclasses import dataclass

from rbench.datasets import Dataset
from rbench.types import Threat


@dataclass(frozen=True)
class Asked:
    """The first `limit` images of a dataset, and the threat under which they may be attacked, if there is one."""

    dataset: Dataset
    threat: Threat | None
    limit: int

    @property
    def count(self) -> int:
        """How many images that is."""
        return min(self.limit, len(self.dataset.labels))
