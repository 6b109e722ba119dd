"""What an evaluation is made of and pinned to: its surrogates, its jobs and the manifest of its run."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rbench import __version__, current, planner
from rbench.catalog import Catalog
from rbench.datasets import Dataset, View
from rbench.files import digest_of
from rbench.planner import Variant
from rbench.subject import Subject, subject_of
from rbench.types import Job, Suite


def surrogates(catalog: Catalog, suite: Suite) -> dict[str, Subject]:
    """The models that probes craft on in the place of the model itself; raises the errors of `subject_of`."""
    return {name: subject_of(catalog, name, Variant(), suite) for name in current.surrogate_cards(catalog, suite)}


def jobs(
    suite: Suite,
    subject: Subject,
    surrogates: Mapping[str, Subject],
    dataset: Dataset,
    views: Mapping[str, View],
    seed: int,
) -> tuple[Job, ...]:
    """One job a probe, with the digests of all that it depends on."""
    return planner.jobs(
        suite,
        model=subject.name,
        weights=subject.digest,
        data=dataset.digest,
        code=digest_of(_code(suite, subject, surrogates)),
        seed=seed,
        surrogates={name: surrogate.digest for name, surrogate in surrogates.items()},
        views={probe: view.digest for probe, view in views.items()},
    )


def _code(suite: Suite, subject: Subject, surrogates: Mapping[str, Subject]) -> dict[str, str]:
    return current.code_of(suite, subject.arch, *(surrogate.arch for surrogate in surrogates.values()))


def manifest(
    suite: Suite,
    subject: Subject,
    surrogates: Mapping[str, Subject],
    dataset: Dataset,
    views: Mapping[str, View],
    n: int,
    seed: int,
) -> dict[str, Any]:
    """What a run is pinned to."""
    origin = {"provenance": dict(subject.provenance)} if subject.provenance else {}
    return origin | {
        "rbench": __version__,
        "suite": current.identity(suite),
        "model": subject.name,
        "arch": asdict(subject.arch) if subject.arch is not None else None,
        "weights": subject.digest,
        "data": dataset.digest,
        "views": {probe: {"digest": view.digest, **view.provenance} for probe, view in views.items()},
        "samples": n,
        "total": len(dataset.labels),
        "seed": seed,
        "code": _code(suite, subject, surrogates),
        "surrogates": {name: [other.digest, asdict(other.arch)] for name, other in surrogates.items() if other.arch},
    }
