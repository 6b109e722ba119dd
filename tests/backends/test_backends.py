"""Which attack answers the question of which, and how a suite is asked by another package."""

import inspect
import subprocess
import sys

import pytest

import rbench
from rbench import backends
from rbench.backends import counterpart
from rbench.catalog import bind, resolve
from rbench.errors import MissingError, UsageError
from rbench.planner import Variant, command
from rbench.types import Call

GIVEN = ("model", "x", "y", "threat", "rng")
NATIVE = {
    name: f"rbench.attacks.{name}:{name}" for name in ("fgsm", "pgd", "mifgsm", "autoattack", "apgd", "fab", "square")
}


@pytest.mark.parametrize(("function", "match"), backends.PYAUTOATTACK.items())
def test_counterparts_take_the_arguments_of_the_native_attacks(function, match):
    theirs = inspect.signature(resolve(f"rbench.backends.pyautoattack:{function}")).parameters
    ours = inspect.signature(resolve(match.use)).parameters
    defaults = {name: p.default for name, p in ours.items() if name not in (*GIVEN, "stop")}
    assert defaults
    assert {name: theirs[name].default for name in defaults} == defaults
    bind(counterpart("pyautoattack", Call(match.use)), GIVEN)


@pytest.mark.parametrize("name", backends.TORCHATTACKS)
def test_every_name_of_torchattacks_exists_and_repeats_an_attack_that_exists(name):
    torchattacks = pytest.importorskip("torchattacks")
    assert name in torchattacks.__all__
    assert callable(resolve(backends.TORCHATTACKS[name].use))


@pytest.mark.parametrize(
    ("backend", "name", "args", "found"),
    [
        ("pyautoattack", "apgd", {"loss": "margin"}, None),
        ("pyautoattack", "autoattack", {"version": "rand"}, "autoattack"),
        ("pyautoattack", "apgd", {"loss": "dlr-targeted", "targets": 3}, "apgd"),
        ("pyautoattack", "apgd", {"loss": "ce-targeted"}, None),
        ("pyautoattack", "pgd", {}, None),
        ("torchattacks:PGD", "pgd", {"steps": 40}, "PGD"),
        ("torchattacks:PGD", "pgd", {"loss": "margin"}, None),
        ("torchattacks:PGD", "pgd", {"restarts": 5}, None),
        ("torchattacks:PGD", "fgsm", {}, None),
        ("torchattacks:BIM", "pgd", {}, None),
        ("torchattacks:BIM", "pgd", {"start": False}, "BIM"),
        ("torchattacks:MIFGSM", "mifgsm", {}, "MIFGSM"),
        ("torchattacks:APGD", "apgd", {"loss": "dlr"}, "APGD"),
        ("torchattacks:APGDT", "apgd", {"loss": "dlr"}, None),
        ("torchattacks:APGDT", "apgd", {"loss": "dlr-targeted"}, "APGDT"),
        ("torchattacks:FAB", "fab", {"targets": 2}, None),
        ("torchattacks:Square", "square", {}, "Square"),
        ("torchattacks:CW", "pgd", {}, None),
    ],
)
def test_the_table_of_counterparts(backend, name, args, found):
    call = counterpart(backend, Call(NATIVE[name], args))
    if found is None:
        assert call is None
    elif backend == "pyautoattack":
        assert call == Call(f"rbench.backends.pyautoattack:{found}", args)
    else:
        wanted = {"name": found, "like": NATIVE[name], "args": args}
        assert call == Call("rbench.backends.torchattacks:attack", wanted)


def test_a_probe_that_is_named_may_be_asked_by_any_attack_of_torchattacks():
    assert counterpart("torchattacks:MIFGSM", Call(NATIVE["fgsm"]), forced=True).args["name"] == "MIFGSM"
    assert counterpart("pyautoattack", Call(NATIVE["fgsm"]), forced=True) is None


@pytest.mark.parametrize(
    ("backend", "sentence"),
    [
        ("pyautoatack", "Did you mean 'pyautoattack'?"),
        ("foolbox", "no backend named 'foolbox'"),
        ("pyautoattack:apgd", "takes no name"),
        ("torchattacks", "write torchattacks:PGD"),
    ],
)
def test_words_that_are_no_backend_are_refused(backend, sentence):
    with pytest.raises(UsageError, match=sentence):
        backends.require(backend)


def test_a_package_that_is_not_installed_comes_with_its_remedy(monkeypatch, suite):
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    with pytest.raises(
        MissingError, match=r"'torchattacks' is not installed; run: pip install 'rbench\[torchattacks\]'"
    ):
        rbench.evaluate("at-digits", "quick", backend="torchattacks:PGD", catalog=suite())


def test_a_variant_keeps_the_probes_that_the_backend_can_ask_and_the_scores_that_they_make(suite):
    plain = suite(NATIVE["apgd"], "{ steps = 3 }").suite("quick")
    variant = Variant(backend="pyautoattack")
    asked = variant.apply(plain)
    assert [probe.name for probe in asked.probes] == ["clean", "second"]
    assert asked.probes[1].attack == Call("rbench.backends.pyautoattack:apgd", {"steps": 3})
    assert [(score.name, score.title) for score in asked.scores] == [("clean", ""), ("second", "second [pyautoattack]")]
    assert variant.left_out(plain) == (
        "probe first: pyautoattack has no counterpart",
        "score worst: needs a probe that is left out",
    )
    assert asked.digest != plain.digest


def test_probes_that_are_named_are_the_only_ones(suite):
    plain = suite().suite("quick")
    asked = Variant(probes=("second", "clean")).apply(plain)
    assert [probe.name for probe in asked.probes] == ["clean", "second"]
    assert [score.name for score in asked.scores] == ["clean", "second"]
    with pytest.raises(UsageError, match="Did you mean 'second'"):
        Variant(probes=("secnd",)).apply(plain)


def test_a_suite_without_any_counterpart_is_refused(suite):
    with pytest.raises(UsageError, match="pyautoattack has a counterpart of no attack of suite 'quick'"):
        Variant(backend="pyautoattack").apply(suite().suite("quick"))


def test_folder_and_command_name_probes_and_backend():
    variant = Variant(limit=5, backend="torchattacks:PGD", probes=("pgd20", "aa"))
    assert variant.folder == "seed0-first5-only-aa+pgd20-by-torchattacks_PGD"
    words = "rbench eval --suite s --model m --limit 5 --probe pgd20 --probe aa --backend torchattacks:PGD"
    assert command("s", "m", variant) == words
    assert Variant().folder == "seed0"


def test_an_evaluation_by_a_backend_is_marked_resumable_and_apart(suite, small_net):
    catalog = suite(NATIVE["apgd"], "{ steps = 3 }")
    native = rbench.evaluate(small_net, "quick", limit=20, catalog=catalog)
    theirs = rbench.evaluate(small_net, "quick", limit=20, backend="pyautoattack", catalog=catalog)
    assert native.folder != theirs.folder
    assert set(theirs.scores) == {"clean", "second"}
    assert theirs.left_out == Variant(backend="pyautoattack").left_out(catalog.suite("quick"))
    remarks = [f.message for f in theirs.scores["second"].findings if "run by pyautoattack" in f.message]
    assert len(remarks) == 1
    assert not any("run by" in finding.message for finding in native.scores["second"].findings)
    assert rbench.evaluate(small_net, "quick", limit=20, backend="pyautoattack", catalog=catalog).fresh_blocks == 0


def test_a_plan_says_what_the_backend_leaves_out(suite):
    rows = rbench.plan("at-digits", "quick", limit=20, backend="pyautoattack", catalog=suite(NATIVE["square"], "{}"))
    assert [row["probe"] for row in rows] == ["clean", "second", "-", "-"]
    assert rows[1]["attack"] == "rbench.backends.pyautoattack:square"
    assert rows[2]["attack"] == "left out: probe first: pyautoattack has no counterpart"


def test_the_table_of_counterparts_needs_neither_torch_nor_the_packages():
    code = "import sys, rbench.planner; assert not {'torch', 'pyautoattack', 'torchattacks'} & sys.modules.keys()"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
