from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbench.errors import UsageError
from rbench.files import canonical_json
from rbench.types import Call, Job, Probe, Threat, fraction


@given(st.integers(1, 255))
def test_eps_is_the_exact_fraction_that_is_printed(k):
    assert Threat("linf", f"{k}/255").radius == float(Fraction(k, 255))


@pytest.mark.parametrize(("text", "value"), [("8/255", 8 / 255), ("0.03", 0.03), (" 1/2 ", 0.5), ("1", 1.0)])
def test_eps_as_papers_print_it(text, value):
    assert Threat("linf", text).radius == value


@pytest.mark.parametrize("text", ["", "eight", "8/0", "nan", "inf", "8/255/2", "1e999"])
def test_nonsense_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match="not"):
        Threat("linf", text)


@pytest.mark.parametrize("text", ["0", "-8/255"])
def test_eps_must_be_positive(text):
    with pytest.raises(UsageError, match="greater than 0"):
        Threat("l2", text)


def test_eps_in_bytes_is_recognised():
    with pytest.raises(UsageError, match=r"Did you mean '8/255'"):
        Threat("linf", "8")
    assert Threat("l2", "8").radius == 8


@pytest.mark.parametrize("use", ["fgsm", "rbench.attacks.fgsm", ":fgsm", "module:", "module:not a name"])
def test_a_pointer_needs_a_module_and_a_name(use):
    with pytest.raises(UsageError, match="no pointer"):
        Call(use)


def test_the_key_of_a_job_changes_with_every_field():
    job = Job("m", "w", "s@1", Probe("clean"), Threat("linf", "8/255"), "d", "c", 0)
    others = [
        replace(job, model="n"),
        replace(job, weights="x"),
        replace(job, suite="s@2"),
        replace(job, probe=Probe("clean", version=2)),
        replace(job, probe=Probe("clean", block=50)),
        replace(job, threat=Threat("l2", "8/255")),
        replace(job, threat=Threat("linf", "4/255")),
        replace(job, data="e"),
        replace(job, code="e"),
        replace(job, seed=1),
    ]
    assert len({job.key, *(other.key for other in others)}) == len(others) + 1
    assert job.key == replace(job).key


def test_canonical_json_ignores_the_order_of_keys_and_refuses_nan():
    assert canonical_json({"b": 1, "a": 2}) == canonical_json({"a": 2, "b": 1}) == '{"a":2,"b":1}'
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


def test_fraction_names_what_is_wrong():
    with pytest.raises(UsageError, match="rel_step = 'x'"):
        fraction("x", "rel_step")
