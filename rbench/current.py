"""Whether a run on disk is what an evaluation of today would give: the same suite, code, weights and surrogates."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rbench.catalog import Catalog, source_digest
from rbench.planner import Variant
from rbench.types import Call, ModelCard, Suite


def is_current(catalog: Catalog, suite: Suite, model: str, manifest: Mapping[str, Any], variant: Variant) -> bool:
    """Whether a run was made with this suite, this code and, unless the user names a file, the weights in the lock.

    The weights of a collection (see `rbench.hubs`) are in no lock: what was built then is not built anew.
    """
    hub = "provenance" in manifest
    arch = Call(**manifest["arch"]) if hub else catalog.model(model).arch
    if manifest["suite"] != identity(suite) or manifest["arch"] != asdict(arch):
        return False
    surrogates = surrogate_cards(catalog, suite)
    if manifest["code"] != code_of(suite, arch, *(other.arch for other in surrogates.values())):
        return False
    pinned = {name: [catalog.weights(other)[1], asdict(other.arch)] for name, other in surrogates.items()}
    if manifest.get("surrogates", {}) != pinned:
        return False
    if hub or variant.weights_file is not None:
        return True
    return bool(manifest["weights"] == catalog.weights(catalog.model(model))[1])


def surrogate_cards(catalog: Catalog, suite: Suite) -> dict[str, ModelCard]:
    """The cards of all models that the probes of a suite craft on in the place of the model itself."""
    names = dict.fromkeys(name for probe in suite.probes for name in probe.surrogates)
    return {name: catalog.model(name) for name in names}


def code_of(suite: Suite, *archs: Call | None) -> dict[str, str]:
    """Digests of all code that the outcomes of a suite depend on, for models of some architectures."""
    calls = [suite.data, *(call for probe in suite.probes for call in (probe.attack, probe.data)), *archs]
    pointers = {call.use for call in calls if call is not None}
    own = "rbench.engine:run"
    foreign = sorted(use for use in pointers if use.split(".")[0] != "rbench")
    return {("rbench" if use == own else use): source_digest(use)[:16] for use in (own, *foreign)}


def identity(suite: Suite) -> str:
    """What a run pins of its suite: name, version and digest."""
    return f"{suite.name}@{suite.version} {suite.digest[:16]}"
