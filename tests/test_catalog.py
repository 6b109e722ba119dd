import hashlib
import shutil
from pathlib import Path

import pytest

import rbench.catalog as catalog_module
from rbench.catalog import Catalog, bind, resolve, source_digest
from rbench.engine import GIVEN
from rbench.errors import MissingError, UsageError
from rbench.types import Call

SUITE = (Catalog.find().files("suites")["digits-linf"]).read_text()


@pytest.fixture
def shelf(tmp_path):
    """A catalog with a folder of the test's own; `shelf(kind, name, text)` writes a file and returns the catalog."""

    def write(folder, name, text):
        path = tmp_path / "mine" / folder / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return Catalog.find([tmp_path / "mine"])

    return write


def test_everything_on_the_shelves_loads_and_binds():
    catalog = Catalog.find()
    for name in catalog.files("suites"):
        suite = catalog.suite(name)
        for probe in suite.probes:
            assert probe.attack is None or bind(probe.attack, GIVEN)
        assert all(resolve(score.use) for score in suite.scores)
    for name in catalog.files("models"):
        assert bind(catalog.model(name).arch)
    assert {"standard-digits", "at-digits", "ews-digits", "at-wrn34", "ews-wrn34"} <= catalog.files("models").keys()


@pytest.mark.parametrize(("name", "near"), [("digits-lnf", "digits-linf"), ("cifar10-linff", "cifar10-linf")])
def test_a_misspelt_name_gets_the_nearest_match(name, near):
    with pytest.raises(UsageError, match=f"no suite named '{name}'. Did you mean '{near}'"):
        Catalog.find().suite(name)


def test_a_name_like_nothing_gets_the_list():
    with pytest.raises(UsageError, match=r"Known: .*ews-digits"):
        Catalog.find().model("qqqqqq")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[probes.fgsm]\nattack", "[probes.fgsm]\natack", r"x\.toml: no key named 'atack'.*Did you mean 'attack'"),
        ("args = { split", "arg = { split", r"no key named 'arg'.*Did you mean 'args'"),
        ("norm =", "nrom =", r"no key named 'nrom'.*Did you mean 'norm'"),
        ('title = "FGSM"\nuse', 'title = "FGSM"\nues', r"no key named 'ues'.*Did you mean 'use'"),
        ("version = 2\n", "", r"the key 'version' is missing"),
        ("24/255", "24/0", r"threat.*'24/0' is not a number"),
        ('"linf"', '"l3"', r"threat\.norm"),
        ("version = 2\n", "version = \n", "not valid TOML"),
        ("version = 2\n", 'version = 1\nname = "y"\n', "remove the key 'name'"),
        ('of = ["fgsm"]', 'of = ["fgms"]', r"no probe named 'fgms'.*Did you mean 'fgsm'"),
        ("digits:digits", "digits.digits", "is no pointer"),
    ],
)
def test_a_bad_suite_names_file_key_and_remedy(shelf, old, new, sentence):
    assert old in SUITE
    with pytest.raises(UsageError, match=sentence):
        shelf("suites", "x", SUITE.replace(old, new)).suite("x")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("steps = 20", "steps = 10"),
        ('version = "standard" }', 'version = "standard", n_queries = 100 }'),
        ("rbench.attacks.fgsm:fgsm", "rbench.attacks.pgd:pgd"),
        ('of = ["aa"]', 'of = ["pgd20"]'),
        ('[scores.aa]\ntitle = "AA"\nuse = "rbench.metrics:accuracy"\nof = ["aa"]',
         '[scores.aa]\nuse = "rbench.metrics:worst_case"\nof = ["clean", "pgd20"]'),
    ],
)  # fmt: skip
def test_a_name_in_the_field_keeps_its_promise_about_the_budget(shelf, old, new):
    assert old in SUITE
    with pytest.raises(UsageError, match="budget"):
        shelf("suites", "x", SUITE.replace(old, new)).suite("x")


def test_a_changed_budget_under_another_name_is_fine(shelf):
    text = SUITE.replace("pgd20", "pgd10").replace("steps = 20", "steps = 10")
    suite = shelf("suites", "x", text).suite("x")
    assert suite.probes[2].attack.args["steps"] == 10


def test_the_digest_of_a_suite_moves_with_its_numbers_not_with_its_titles(shelf):
    digests = set()
    for i, (old, new) in enumerate([("", ""), ("24/255", "16/255"), ("version = 2", "version = 3"), ("1/4", "1/8")]):
        digests.add(shelf("suites", "x", SUITE.replace(old, new) if i else SUITE).suite("x").digest)
    assert len(digests) == 4
    assert shelf("suites", "x", SUITE.replace('title = "AA"', 'title = "AutoAttack"')).suite("x").digest in digests


def test_the_same_name_twice_is_an_error_that_names_both_files(shelf):
    with pytest.raises(UsageError, match=r"'digits-linf' is defined twice: .*digits-linf\.toml and .*mine"):
        shelf("suites", "digits-linf", SUITE).suite("digits-linf")


def test_shelves_are_found_from_any_folder_and_by_the_environment(shelf, monkeypatch, tmp_path):
    shelf("suites", "x", SUITE)
    monkeypatch.chdir("/")
    assert "x" not in Catalog.find().files("suites")
    monkeypatch.setenv("RBENCH_CATALOG", str(tmp_path / "mine"))
    assert {"x", "digits-linf"} <= Catalog.find().files("suites").keys()


def test_a_catalog_folder_that_does_not_exist_is_refused():
    with pytest.raises(UsageError, match="no catalog folder"):
        Catalog.find(["/nowhere"])


def test_an_installed_package_adds_its_shelves(tmp_path, monkeypatch):
    package = tmp_path / "plugin"
    (package / "suites").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    (package / "suites" / "theirs.toml").write_text(SUITE)
    info = tmp_path / "plugin-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[rbench.catalog]\nplugin = plugin\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert Catalog.find().files("suites")["theirs"] == package / "suites" / "theirs.toml"


PGD = "rbench.attacks.pgd:pgd"


@pytest.mark.parametrize(
    ("use", "args", "sentence"),
    [
        (PGD, {"stepz": 5}, r"no argument named 'stepz'.*Did you mean 'step'"),
        (PGD, {"steps": "many"}, r"steps = 'many': .*integer"),
        (PGD, {"model": 1}, "no argument named 'model'"),
        ("rbench.attacks.pgd:pdg", {}, "no function named 'pdg'.*Did you mean 'pgd'"),
        ("rbench.attacks.pdg:pgd", {}, "no module named 'rbench.attacks.pdg'"),
        ("rbench.models.linear:linear", {"features": 4}, "the argument 'classes' is missing"),
    ],
)
def test_arguments_are_checked_before_anything_runs(use, args, sentence):
    with pytest.raises(UsageError, match=sentence):
        bind(Call(use, args), GIVEN if "attacks" in use else ())


def test_code_in_a_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def build(k: int = 2):\n    return k + 1\n")
    assert bind(Call(f"{path}:build", {"k": 5}))() == 6
    assert source_digest(f"{path}:build") != source_digest(PGD)
    with pytest.raises(MissingError, match="no file"):
        resolve(f"{tmp_path / 'other.py'}:build")
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(MissingError, match=r"broken\.py cannot be imported: ModuleNotFoundError"):
        resolve(f"{tmp_path / 'broken.py'}:build")


def test_the_source_of_a_pointer_is_pinned():
    from importlib.util import find_spec

    expected = hashlib.sha256(Path(find_spec("colorsys").origin).read_bytes()).hexdigest()
    assert source_digest("colorsys:rgb_to_hls") == expected
    with pytest.raises(MissingError, match="its source file cannot be found"):
        source_digest("no_such_module:f")


def test_our_own_source_is_pinned_whole(tmp_path, monkeypatch):
    """A change in a helper of an attack is a change of the attack."""
    package = tmp_path / "rbench"
    shutil.copytree(Path(catalog_module.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    assert source_digest(PGD) == source_digest("rbench.data.digits:digits")
    before = source_digest(PGD)
    monkeypatch.setattr(catalog_module, "__file__", str(package / "catalog.py"))
    assert source_digest(PGD) == before
    (package / "report" / "latex.py").write_text("")
    assert source_digest(PGD) == before
    (package / "attacks" / "_ball.py").write_text("")
    assert source_digest(PGD) != before
