"""Specs to jobs; pure. The plan minus the store is what is left to run."""

import hashlib
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from rbench.types import Job, Probe, Suite, Threat


@dataclass(frozen=True)
class Variant:
    """What a user may vary about an evaluation: seed, the first `limit` samples only, eps, and a file of weights."""

    seed: int = 0
    limit: int | None = None
    eps: str | None = None
    weights_file: str | None = None
    options: tuple[str, ...] = ()  # further words of the command line, which decide nothing about the evaluation

    @property
    def folder(self) -> str:
        """The name of the variant's run folder."""
        parts = [f"seed{self.seed}"]
        parts += [f"first{self.limit}"] if self.limit is not None else []
        parts += ["eps" + self.eps.replace("/", "_")] if self.eps is not None else []
        if self.weights_file is not None:
            place = str(Path(self.weights_file).resolve())
            parts.append("weights-" + hashlib.sha256(place.encode()).hexdigest()[:8])
        return "-".join(parts)

    def apply(self, suite: Suite) -> Suite:
        """The suite under this variant's eps; raises `UsageError` if that is nonsense."""
        return suite if self.eps is None else replace(suite, threat=Threat(suite.threat.norm, self.eps))


def jobs(
    suite: Suite,
    *,
    model: str,
    weights: str,
    data: str,
    code: str,
    seed: int,
    surrogates: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Job, ...]:
    """One job a probe of the suite; `weights`, `data`, `code` and the values of `surrogates` are sha256 digests."""
    name = f"{suite.name}@{suite.version}"
    return tuple(
        Job(
            model=model,
            weights=weights,
            suite=name,
            probe=probe,
            threat=suite.threat if probe.eps is None else replace(suite.threat, eps=probe.eps),
            data=data,
            code=code,
            seed=seed,
            surrogates=tuple(surrogates[surrogate] for surrogate in probe.surrogates),
            draws=suite.draws,
        )
        for probe in suite.probes
    )


def blocks(n: int, probe: Probe) -> list[range]:
    """The samples of a probe among 0..n-1 in its blocks, the unit that is committed whole or not at all.

    A probe with a limit asks samples at equal distances, since some datasets are sorted by class.
    """
    samples = range(n)
    if probe.limit is not None and probe.limit < n:
        samples = range(0, n, n // probe.limit)[: probe.limit]
    return [samples[start : start + probe.block] for start in range(0, len(samples), probe.block)]


def count(n: int, probe: Probe) -> int:
    """How many of n samples a probe asks."""
    return sum(map(len, blocks(n, probe)))


def left(job: Job, n: int, done: Iterable[int]) -> list[range]:
    """The blocks of a job whose first sample is not among those `done`."""
    finished = set(done)
    return [block for block in blocks(n, job.probe) if block.start not in finished]


def run_folder(root: Path, suite: str, model: str, variant: Variant) -> Path:
    """Where a run lives: root/suite/model/variant."""
    return root / suite / model / variant.folder


def command(suite: str, model: str, variant: Variant) -> str:
    """The command that runs, or resumes, an evaluation."""
    words = ["rbench", "eval", "--suite", suite, "--model", model]
    words += ["--seed", str(variant.seed)] if variant.seed else []
    words += ["--limit", str(variant.limit)] if variant.limit is not None else []
    words += ["--eps", variant.eps] if variant.eps is not None else []
    words += ["--weights", variant.weights_file] if variant.weights_file is not None else []
    return shlex.join([*words, *variant.options])
