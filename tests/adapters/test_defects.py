"""What `rbench show` says of torchattacks, and that its installed source says the same."""

import importlib
import json
import re
from pathlib import Path

import pytest

from rbench.adapters import defects
from rbench.adapters.mends import MENDS
from rbench.catalog import resolve, source_digest
from rbench.cli import run
from rbench.errors import MissingError, UsageError


def shown(name, capsys):
    assert run(["show", name]) == 0
    return json.loads(capsys.readouterr().out)


def test_one_attack_is_shown_with_its_defects_and_where_they_are(capsys):
    told = shown("torchattacks:DIFGSM", capsys)
    assert told["use"] == "torchattacks:DIFGSM"
    names = [each["defect"] for each in told["known defects"]]
    assert names == ["last-iterate", "fixed-step", "zero-gradient", "no-momentum", "shared-draw"]
    assert told["known defects"][3]["where"] == "torchattacks/attacks/difgsm.py: decay=0.0,"
    assert any("the referee judges" in line for line in told["adapter"])


def test_the_package_is_shown_with_all_attacks_and_all_defects(capsys):
    told = shown("torchattacks", capsys)
    assert len(told["attacks"]) == len(set(told["attacks"])) == 37
    assert len(told["known defects"]) == len(defects.DEFECTS)
    assert {"defect": "no-search", "attacks": ["CW"]}.items() <= told["known defects"][8].items()


def test_a_misspelt_attack_gets_its_nearest_match(capsys):
    assert run(["show", "torchattacks:DIFGSN"]) == 3
    assert "no attack named 'DIFGSN' in torchattacks. Did you mean 'DIFGSM'?" in capsys.readouterr().err


def test_every_defect_is_of_attacks_that_exist_and_names_mends_that_exist():
    assert len({defect.name for defect in defects.DEFECTS}) == len(defects.DEFECTS)
    for defect in defects.DEFECTS:
        assert defect.attacks == defects.ALL or set(defect.attacks) <= set(defects.NAMES), defect.name
        for mend in re.findall(r'mend = \["(.+)"\]', defect.remedy):
            assert mend == defect.name
            assert all(mend in MENDS[attack] for attack in defect.attacks)
    known = {(attack, defect.name) for defect in defects.DEFECTS for attack in defect.attacks}
    assert {(attack, mend) for attack, mends in MENDS.items() for mend in mends} <= known


def test_without_the_package_the_remedy_is_said(monkeypatch):
    adapter = importlib.import_module("rbench.adapters.torchattacks")
    adapter.attack.cache_clear()
    monkeypatch.setattr(adapter, "find_spec", lambda _: None)
    monkeypatch.setattr("rbench.catalog.importlib.util.find_spec", lambda _: None)
    for ask in (resolve, source_digest):
        with pytest.raises(MissingError, match=r"not installed; run: pip install 'rbench\[torchattacks\]'"):
            ask("torchattacks:PGD")


@pytest.mark.parametrize("defect", defects.DEFECTS, ids=lambda defect: defect.name)
def test_the_installed_source_has_every_quote(defect):
    package = pytest.importorskip("torchattacks")
    assert package.__version__ == defects.VERSION
    text = (Path(package.__file__).parent / defect.file).read_text()
    assert defect.quote in text
    for attack in set(defect.attacks) - set(defects.ALL):
        assert attack in package.__all__


def test_the_names_are_those_of_the_package():
    package = pytest.importorskip("torchattacks")
    assert set(defects.NAMES) == set(package.__all__) - {"MultiAttack", "LGV"}
    with pytest.raises(UsageError, match="no attack named 'LGV' in torchattacks"):
        resolve("torchattacks:LGV")
