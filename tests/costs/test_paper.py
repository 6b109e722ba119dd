"""Costs of probes and plans against sums by hand, and against what runs have counted."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rbench
from rbench.catalog import Catalog
from rbench.costs.paper import columns, cost
from rbench.costs.passes import Passes
from rbench.types import Call, Probe

PGD = Call("rbench.attacks.pgd:pgd", {"steps": 3})
COUNTS = st.integers(0, 10**6)


@dataclass
class Film:
    """A view of three groups of four frames."""

    groups: tuple[int, ...] = (1, 2, 5)
    frames: int = 4


@given(COUNTS, COUNTS, st.integers(0, 50), st.integers(2, 20))
def test_counts_grow_with_samples(one, other, steps, classes):
    found = cost(Probe("p", Call("rbench.attacks.apgd:apgd", {"steps": steps})), classes)
    for count in (found.forwards, found.backwards):
        assert count(one) + count(other) == count(one + other)
    assert columns(found, one)["forwards"] == one * (steps + 2 + 2)


def test_by_hand():
    assert (cost(Probe("clean"), 10).judging, cost(Probe("clean"), 10).bound) == (2, "exact")
    attacked = cost(Probe("p", PGD), 10)
    assert (attacked.forwards(5), attacked.backwards(5), attacked.bound) == (5 * (4 + 2), 5 * 3, "standing")
    assert cost(Probe("p", PGD), 10, draws=3).forwards(1) == 4 + 2 * 3
    seen = cost(Probe("v", data=Call("any.py:film")), 10, draws=2, view=Film())
    assert (seen.forwards(7), seen.backwards(7), seen.bound) == (7 * 3 * 4 * 2, 0, "exact")
    carried = cost(Probe("t", PGD, surrogates=("a", "b")), 10)
    assert (carried.forwards(1), carried.backwards(1)) == (2 * 4 + 2 + 2, 2 * 3)


def test_what_nobody_knows_is_never_zero():
    found = columns(cost(Probe("theirs", Call("theirs.py:attack")), 10), 5)
    assert found["bound"] == "not known"
    assert {found[key] for key in ("forwards", "backwards", "forwards_each", "backwards_each")} == {None}


def test_one_or_the_other_is_the_larger_of_each():
    assert Passes(3, 1) | Passes(2, 2) == Passes(3, 2, met=False)
    assert Passes(3, 1) | Passes(3, 1) == Passes(3, 1)


def test_a_plan_adds_up_to_what_the_run_then_counts(suite):
    """Nobody falls within so small an eps, so that every image that is right takes the whole budget."""
    catalog = suite("rbench.attacks.pgd:pgd", "{ steps = 3, restarts = 2 }", eps="1/1000000")
    options = {"limit": 25, "catalog": catalog}
    rows = {row["probe"]: row for row in rbench.plan("at-digits", "quick", **options)}
    assert [rows[name]["forwards"] for name in ("clean", "first", "second")] == [25 * 2, 25 * 3, 25 * (2 * 4 + 2)]
    assert [rows[name]["backwards"] for name in ("clean", "first", "second")] == [0, 25, 25 * 2 * 3]
    evidence = rbench.evaluate("at-digits", "quick", **options).evidence
    right = int(evidence["clean"].correct.sum())
    assert right > 20
    for name in ("first", "second"):
        assert evidence[name].forwards.sum() == right * rows[name]["forwards_each"]
        assert evidence[name].backwards.sum() == right * rows[name]["backwards_each"]


def test_a_half_finished_run_has_only_the_rest_to_pay(suite):
    catalog = suite()
    options = {"limit": 25, "catalog": catalog}
    folder = rbench.evaluate("at-digits", "quick", **options).folder
    (folder / "second" / "complete.json").unlink()
    (folder / "second" / "000020.parquet").unlink()
    rows = {row["probe"]: row for row in rbench.plan("at-digits", "quick", **options)}
    assert [rows[name]["forwards"] for name in ("clean", "first", "second")] == [0, 0, 5 * (4 + 2)]
    assert rows["second"]["backwards"] == 5 * 3
    assert rows["second"]["forwards_each"] == 4


def test_real_runs_stay_within_the_plan_of_the_main_job():
    """The sums that the README has of AutoAttack and the cascade on 500 images of which 438 withstand."""
    rows = {row["probe"]: row for row in rbench.plan("at-digits", "digits-linf", catalog=Catalog.find())}
    autoattack, cascade = (rows[name]["forwards_each"] + rows[name]["backwards_each"] for name in ("aa", "worst-case"))
    assert 438 * autoattack <= 4_319_771 <= 500 * autoattack
    assert 438 * 1202 <= 534_358 <= 500 * cascade


@pytest.mark.parametrize("name", ["digits-transfer", "digits-p", "digits-rand"])
def test_every_suite_on_the_shelf_of_digits_has_a_price(name):
    model = {"digits-rand": "dropout-digits"}.get(name, "at-digits")
    rows = rbench.plan(model, name, limit=4)
    assert all(row["bound"] in ("exact", "standing", "at most") for row in rows)
    assert all(row["forwards"] > 0 for row in rows)
