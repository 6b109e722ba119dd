"""Pairs of attacks, causes taken away one by one, and the run that asks both sides; none of it needs the package."""

import pytest

import rbench
from rbench import backends, studies
from rbench.cli import run
from rbench.errors import UsageError
from rbench.studies import crosschecks
from rbench.studies.pairs import PAIRS, Change, Pair
from rbench.types import Call

PGD = "rbench.attacks.pgd:pgd"


def test_changes_add_up():
    pair = Pair(
        "p", "P", Call("a:a", {"k": 1}), Call("b:b"), (Change("x", {"k": 2}, block=1), Change("y", {}, {"m": 3}))
    )
    assert list(pair.stages()) == [
        ("same arguments", Call("a:a", {"k": 1}), Call("b:b"), None),
        ("x", Call("a:a", {"k": 2}), Call("b:b"), 1),
        ("y", Call("a:a", {"k": 2}), Call("b:b", {"m": 3}), 1),
    ]


def test_native_sides_bind_and_have_the_same_budgets():
    from rbench.catalog import bind
    from rbench.engine import GIVEN

    assert [pair.title for pair in PAIRS] == ["FGSM", "PGD-20", "MI-FGSM-20", "DeepFool", "CW"]
    for pair in PAIRS:
        for _, native, theirs, _ in pair.stages():
            bind(native, GIVEN)
            assert native.args.get("steps") == theirs.args.get("steps")
            assert native.args.get("step") == theirs.args.get("alpha")


@pytest.fixture
def _pretended(monkeypatch):
    """The package is taken to be there: the pairs of these tests do not use it."""
    monkeypatch.setattr(backends, "find_spec", lambda _: True)
    monkeypatch.setattr(crosschecks, "version", lambda name: f"{name}'s")


@pytest.mark.usefixtures("_pretended")
def test_both_sides_are_probes_of_ordinary_runs_which_resume(suite, small_net):
    weak, strong = {"steps": 1, "rel_step": "1/50", "start": False}, {"steps": 3, "rel_step": "1/4", "start": False}
    pair = Pair("p", "P", Call(PGD, weak), Call(PGD, strong), (Change("as strong", strong),))
    found = studies.crosscheck_all(small_net, "quick", limit=30, catalog=suite(), pairs=(pair,))
    first, last = found.stages
    assert (first.change, last.change) == ("same arguments", "as strong")
    clean = rbench.evaluate(small_net, "quick", limit=30, probes=("clean",), catalog=suite()).evidence["clean"]
    assert first.n == last.n == clean.correct.sum() > 0
    assert first.theirs_only
    assert not first.native_only
    assert (last.native_only, last.theirs_only) == ((), ())
    assert set(last.both) == set(first.both) | set(first.theirs_only)
    assert first.distances is None
    assert found.versions == {"torchattacks": "torchattacks's", "torch": "torch's"}
    assert found.command.startswith("rbench check --suite quick --model")
    assert found.command.endswith("--limit 30 --backend torchattacks")
    again = studies.crosscheck_all(small_net, "quick", limit=30, catalog=suite(), pairs=(pair,))
    assert again == found


CHEAT = """
def cheat(model, x, y, threat, *, rng):
    return (x + 2 * threat.radius).clamp(0, 1)
"""


@pytest.mark.usefixtures("_pretended")
def test_a_side_that_leaves_the_ball_is_refused_and_the_other_pairs_stand(suite, small_net, tmp_path):
    (tmp_path / "cheat.py").write_text(CHEAT)
    fgsm = Call("rbench.attacks.fgsm:fgsm")
    pairs = (Pair("p", "P", fgsm, Call(f"{tmp_path}/cheat.py:cheat")), Pair("q", "Q", fgsm, fgsm))
    refused, fine = studies.crosscheck_all(small_net, "quick", limit=20, catalog=suite(), pairs=pairs).stages
    assert "left the linf ball" in refused.refused
    assert (fine.refused, fine.native_only, fine.theirs_only) == ("", (), ())


@pytest.mark.usefixtures("_pretended")
def test_attacks_of_minimum_norm_are_compared_by_their_distances(suite, small_net):
    walk = Call("rbench.attacks.deepfool:deepfool", {"steps": 20})
    pair = Pair("d", "D", walk, Call(walk.use, {"steps": 20, "overshoot": 0.5}), threat=("l2", "56"))
    (row,) = studies.crosscheck_all(small_net, "quick", limit=20, catalog=suite(), pairs=(pair,)).stages
    assert row.both
    assert row.distances[1] > row.distances[0] > 0


@pytest.mark.usefixtures("_pretended")
def test_a_suite_in_another_norm_is_refused(suite, small_net):
    with pytest.raises(UsageError, match="suite 'quick' is in l2; name one in linf, such as digits-linf"):
        studies.crosscheck_all(small_net, "quick", catalog=suite(norm="l2"))


def test_the_command_says_what_it_lacks(suite, monkeypatch, capsys):
    words = ["check", "--model", "standard-digits", "--suite", "digits-linf", "--backend", "torchattacks"]
    monkeypatch.setattr(backends, "find_spec", lambda _: None)
    assert run(words) == 4
    assert "pip install 'rbench[torchattacks]'" in capsys.readouterr().err
    assert run([*words, "--probe", "pgd20"]) == 3
    assert "--backend torchattacks:NAME" in capsys.readouterr().err
