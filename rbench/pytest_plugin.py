"""Gates as tests: the fixture `rbench_gate` and the marker `robustness`, for projects that test with pytest."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rbench.gating.judging import Gated

SHELVES = "rbench_catalog"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The folder with the project's own shelves: reports/gates/, suites/, model_zoo/."""
    parser.addini(SHELVES, "folders with shelves of rbench, by default the root of the project", type="paths")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "robustness: attacks a model; leave it out by -m 'not robustness'")


@pytest.fixture(scope="session")
def rbench_gate(pytestconfig: pytest.Config) -> "Callable[..., Gated]":
    """A function `gate(name, **options)` that fails the test unless the gate passes; see `rbench.gate`.

    It returns the outcome with its evidence. Where the gate's policy says so, an undecided gate is a warning.
    """
    folders: list[Path] = list(pytestconfig.getini(SHELVES)) or [pytestconfig.rootpath]

    def gate(name: str, **options: Any) -> "Gated":
        from rbench.catalog import Catalog
        from rbench.gating.gate import gate as gated
        from rbench.gating.text import text

        found = gated(name, catalog=options.pop("catalog", None) or Catalog.find(folders), **options)
        if found.exit_code:
            pytest.fail(text(found), pytrace=False)
        if found.outcome == "INCONCLUSIVE":
            warnings.warn(pytest.PytestWarning(text(found)), stacklevel=2)
        return found

    return gate
