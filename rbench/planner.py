"""Specs to jobs; pure. The plan minus the store is what is left to run."""

import hashlib
import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from rbench.backends import counterpart
from rbench.corruptions.tables import SEVERITIES
from rbench.doubt.probing import diagnosed
from rbench.errors import UsageError, unknown
from rbench.files import digest_of
from rbench.types import Call, Job, Probe, Suite, Threat

NAMED = re.compile(
    r"seed(?P<seed>\d+)(-first(?P<limit>\d+))?(-eps(?P<eps>.+?))?(-weights-(?P<weights>[0-9a-f]{8}))?"
    r"(-only-(?P<probes>.+?))?(?P<missing>-without-[0-9a-f]{8})?(-by-(?P<backend>.+))?"
)


@dataclass(frozen=True)
class Variant:
    """What a user may vary about an evaluation: seed, the first `limit` samples only, eps, and a file of weights.

    Also: some of the `probes` only, attacks by a `backend`, another package, in the place of the native ones, and the
    probes whose data are `missing`, where the user allows it: scores that lack some of them are marked by a star.
    Raises `UsageError` for a seed or limit that is out of range.
    """

    seed: int = 0
    limit: int | None = None
    eps: str | None = None
    weights_file: str | None = None
    backend: str | None = None
    probes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    options: tuple[str, ...] = ()  # further words of the command line, which decide nothing about the evaluation

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"limit = {self.limit} must be at least 1.")
        if not 0 <= self.seed < 2**31:
            raise UsageError(f"seed = {self.seed} must lie in 0..2^31 - 1.")

    @property
    def folder(self) -> str:
        """The name of the variant's run folder."""
        parts = [f"seed{self.seed}"]
        parts += [f"first{self.limit}"] if self.limit is not None else []
        parts += ["eps" + self.eps.replace("/", "_")] if self.eps is not None else []
        if self.weights_file is not None:
            place = str(Path(self.weights_file).resolve())
            parts.append("weights-" + hashlib.sha256(place.encode()).hexdigest()[:8])
        parts += ["only-" + "+".join(sorted(set(self.probes)))] if self.probes else []
        if self.missing:
            parts.append("without-" + hashlib.sha256("+".join(sorted(self.missing)).encode()).hexdigest()[:8])
        parts += ["by-" + self.backend.replace(":", "_")] if self.backend is not None else []
        return "-".join(parts)

    @classmethod
    def of_folder(cls, name: str) -> "Variant | None":
        """The variant that a run folder is named after, None if no variant gives that name.

        Names of `missing` data are not in it. A file of weights is known by a digest of its path: it is called FILE.
        """
        found = NAMED.fullmatch(name)
        if found is None:
            return None
        limit, eps, probes, backend = found["limit"], found["eps"], found["probes"], found["backend"]
        return cls(
            seed=int(found["seed"]),
            limit=int(limit) if limit else None,
            eps=eps.replace("_", "/") if eps else None,
            weights_file="FILE" if found["weights"] else None,
            backend=backend.replace("_", ":", 1) if backend else None,
            probes=tuple(probes.split("+")) if probes else (),
        )

    def apply(self, suite: Suite) -> Suite:
        """The suite under this variant's eps, probes and backend; raises `UsageError` if any of them is nonsense.

        A suite that is asked as a whole gets the probes of its diagnosis. Probes that were not asked for, or whose
        attack the backend lacks, are left out, with the scores that need them.
        """
        chosen = suite if self.eps is None else replace(suite, threat=Threat(suite.rules.norm, self.eps))
        if not self.probes and self.backend is None:
            return _without(diagnosed(chosen), self.missing)
        known = [probe.name for probe in suite.probes]
        for name in self.probes:
            if name not in known:
                raise unknown("probe", name, known, f"suite {suite.name!r}")
        kept = tuple(filter(None, (self._ask(probe) for probe in suite.probes)))
        if self.backend is not None and all(probe.attack is None for probe in kept):
            raise UsageError(
                f"{self.backend} has a counterpart of no attack of suite {suite.name!r}; see `rbench show`."
            )
        names = {probe.name for probe in kept}
        attacked = {probe.name for probe in kept if probe.attack is not None and self.backend is not None}
        scores = (score for score in suite.scores if names.issuperset(score.of))
        marked = (
            replace(s, title=f"{s.title or s.name} [{self.backend}]") if attacked & set(s.of) else s for s in scores
        )
        return _without(replace(chosen, probes=kept, scores=tuple(marked), diagnose=False), self.missing)

    def _ask(self, probe: Probe) -> Probe | None:
        """A probe as this variant asks it, or None if it does not."""
        if self.probes and probe.name not in self.probes:
            return None
        if self.backend is None or probe.attack is None:
            return probe
        attack = counterpart(self.backend, probe.attack, forced=bool(self.probes))
        return replace(probe, attack=attack) if attack is not None else None

    def left_out(self, suite: Suite) -> tuple[str, ...]:
        """One line for every probe and score that this variant's backend costs the suite."""
        if self.backend is None:
            return ()
        suite = replace(suite, diagnose=False)
        wanted, got = replace(self, backend=None).apply(suite), self.apply(suite)
        probes = {p.name for p in wanted.probes} - {p.name for p in got.probes}
        scores = {s.name for s in wanted.scores} - {s.name for s in got.scores}
        return (
            *(f"probe {p.name}: {self.backend} has no counterpart" for p in wanted.probes if p.name in probes),
            *(f"score {s.name}: needs a probe that is left out" for s in wanted.scores if s.name in scores),
        )


def _without(suite: Suite, missing: Collection[str]) -> Suite:
    """A suite without some probes: scores that have none left go, too, and the names of those that lack some say so."""
    if not missing:
        return suite
    cells = {probe.name: _cells(probe.data) for probe in suite.probes if probe.data}
    scores = []
    for score in suite.scores:
        left = tuple(name for name in score.of if name not in missing)
        if left == score.of:
            scores.append(score)
        elif cells.keys() & set(left):
            k, whole = (sum(cells.get(name, 0) for name in names) for names in (left, score.of))
            title = f"{score.title or score.name}* ({k} of {whole})"
            scores.append(replace(score, name=f"{score.name}*", title=title, of=left))
    probes = tuple(probe for probe in suite.probes if probe.name not in missing)
    return replace(suite, probes=probes, scores=tuple(scores))


def _cells(data: Call) -> int:
    """How many severities of a corruption a view has; a sequence counts once."""
    whole = SEVERITIES if "corruption" in data.args else (1,)
    return len(data.args.get("severities", whole))


def jobs(
    suite: Suite,
    *,
    model: str,
    weights: str,
    data: str,
    code: str,
    seed: int,
    surrogates: Mapping[str, str] = MappingProxyType({}),
    views: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Job, ...]:
    """One job a probe of the suite; `weights`, `data`, `code` and the values of the mappings are sha256 digests."""
    name = f"{suite.name}@{suite.version}"
    return tuple(
        Job(
            model=model,
            weights=weights,
            suite=name,
            probe=probe,
            threat=suite.threat if probe.eps is None else replace(suite.rules, eps=probe.eps),
            data=digest_of([data, views[probe.name]]) if probe.name in views else data,
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
    return _eval(["--suite", suite, "--model", model], variant)


def runs_option(root: Path) -> tuple[str, ...]:
    """The words of a command line that name a folder of runs which is not the usual one."""
    return () if root == Path("runs") else ("--runs", str(root))


def table_command(name: str, variant: Variant) -> str:
    """The command that runs all that a table lacks."""
    return _eval(["--table", name], variant)


def _eval(what: list[str], variant: Variant) -> str:
    words = ["rbench", "eval", *what]
    words += ["--seed", str(variant.seed)] if variant.seed else []
    words += ["--limit", str(variant.limit)] if variant.limit is not None else []
    words += ["--eps", variant.eps] if variant.eps is not None else []
    words += ["--weights", variant.weights_file] if variant.weights_file is not None else []
    words += [word for name in variant.probes for word in ("--probe", name)]
    words += ["--backend", variant.backend] if variant.backend is not None else []
    return shlex.join([*words, *variant.options])
