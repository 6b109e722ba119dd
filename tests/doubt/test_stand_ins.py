"""What provenance says about numbers: which findings, and how bad."""

import pytest

from rbench.doubt.codes import CODES
from rbench.doubt.stand_ins import of_view


@pytest.mark.parametrize(
    ("provenance", "published", "found"),
    [
        ({"source": "files", "official": "yes"}, True, {}),
        ({"source": "files", "official": "unknown"}, True, {}),
        ({"source": "files", "official": "no", "files": "CIFAR-10-C", "changed": "fog.npy"}, False, {"RB152": "warn"}),
        ({"source": "generated"}, True, {"RB150": "warn"}),
        ({"source": "generated"}, False, {}),
        ({"source": "generated", "frost": "photographs"}, False, {}),
        ({"source": "generated", "frost": "procedural"}, False, {"RB151": "info"}),
        ({"source": "generated", "frost": "procedural"}, True, {"RB150": "warn", "RB151": "warn"}),
        ({}, True, {}),
    ],
)
def test_stand_ins_are_told(provenance, published, found):
    told = of_view(provenance, published=published)
    assert {finding.code: finding.level for finding in told} == found
    assert all(CODES[finding.code].explanation() for finding in told)


def test_changed_files_are_named():
    (finding,) = of_view({"official": "no", "files": "CIFAR-10-C", "changed": "fog.npy"}, published=False)
    assert "fog.npy" in finding.message
