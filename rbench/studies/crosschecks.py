"""Cross-checks: the same questions asked by the native attacks and by another package's."""

from typing import TYPE_CHECKING, Any

from rbench.agreement import Agreement, compare
from rbench.api import evaluate
from rbench.catalog import Catalog
from rbench.planner import Variant

if TYPE_CHECKING:
    from torch import nn


def crosscheck(model: "str | nn.Module", suite: str, backend: str, **options: Any) -> tuple[Agreement, ...]:
    """Ask a suite's probes by the native attacks and by another package's, and compare them sample by sample.

    `backend` is "pyautoattack" or "torchattacks:NAME"; `options` are those of `evaluate`, of which `probes` narrows the
    comparison. Both sides are ordinary runs, so the same call resumes.
    """
    catalog = options.pop("catalog", None) or Catalog.find()
    asked = tuple(options.pop("probes", None) or ())
    spec = Variant(probes=asked, backend=backend).apply(catalog.suite(suite))
    names = [probe.name for probe in spec.probes if probe.attack is not None]
    theirs = evaluate(model, suite, backend=backend, probes=asked, catalog=catalog, **options)
    native = evaluate(model, suite, probes=names, catalog=catalog, **options)
    sides = native.evidence, theirs.evidence
    return tuple(compare(name, *(side[name] for side in sides)) for name in names)
