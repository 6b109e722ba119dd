"""Which runs and scores a table needs, and which probes these need."""

import json

import numpy as np
import pytest
from evidence import outcomes

from rbench.catalog import Catalog
from rbench.current import identity
from rbench.doubt.probing import PREFIX, needed
from rbench.errors import UsageError
from rbench.needs import needs, passes
from rbench.planner import Variant
from rbench.store import FORMAT, Run
from rbench.tables import TableSpec
from rbench.types import Job

CATALOG = Catalog.find()
LINF = CATALOG.suite("digits-linf")


def table(*columns, models=("ews-digits", "at-digits")):
    return TableSpec("t", "A table", columns, models)


def test_runs_are_in_order_and_each_once():
    spec = table("digits-c:error", "digits-linf:pgd20", "digits-c:mce", "digits-linf:clean")
    assert tuple(needs(CATALOG, spec)) == (
        ("digits-c", "ews-digits"), ("digits-linf", "ews-digits"), ("digits-c", "at-digits"),
        ("digits-linf", "at-digits"),
    )  # fmt: skip
    assert needs(CATALOG, spec)["digits-c", "at-digits"] == ("error", "mce")
    assert needs(CATALOG, spec)["digits-linf", "ews-digits"] == ("pgd20", "clean")


def test_a_paper_s_table_needs_the_cards_of_its_numbers():
    found = needs(CATALOG, CATALOG.table("ews-table4"))
    assert len(found) == 8 * 3  # methods x networks
    assert set(found.values()) == {("clean", "pgd20", "aa")}
    assert {suite for suite, _ in found} == {"cifar10-linf"}


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (table("digits-linf:pgd2"), "no score named 'pgd2' in table 't': 'digits-linf:pgd2'. Did you mean 'pgd20'?"),
        (table("digits-lnf:clean"), "Did you mean 'digits-linf'?"),
        (table("digits-linf:clean", models=("ews-digit",)), "Did you mean 'ews-digits'?"),
    ],
)
def test_what_is_not_there_is_said_before_anything_runs(spec, sentence):
    with pytest.raises(UsageError, match=r"Did you mean") as error:
        needs(CATALOG, spec)
    assert sentence in str(error.value)


def test_a_score_needs_its_probes_and_an_attack_its_doubts():
    suite = Variant().apply(LINF)
    diagnosis = {probe.name for probe in suite.probes if probe.name.startswith(PREFIX)}
    assert len(diagnosis) > 5
    assert needed(suite, ["pgd20"]) == {"clean", "pgd20", *diagnosis}
    assert needed(suite, ["clean"]) == {"clean"}
    assert needed(suite, ["clean", "worst"]) == needed(suite, []) == {probe.name for probe in suite.probes}
    corruptions = CATALOG.suite("digits-c")
    assert needed(corruptions, ["fog"]) == {"fog"}
    with pytest.raises(UsageError, match="Did you mean 'pgd20'"):
        needed(suite, ["pgd2"])


def test_passes_are_the_mean_over_all_images_of_runs_by_the_same_suite(tmp_path):
    spent = {"a/seed0": (LINF, [4, 8]), "b/seed0": (LINF, [2, 2, 2, 0]), "c/seed0": (CATALOG.suite("digits-l2"), [99]),
             "d/seed0.old-1": (LINF, [77])}  # fmt: skip
    probe = next(p for p in LINF.probes if p.name == "fgsm")
    for place, (suite, counts) in spent.items():
        run = Run(tmp_path / "digits-linf" / place)
        found = outcomes([True] * len(counts))
        job = Job("m", "w", "s", probe, LINF.threat, "d", "c", 0)
        run.commit(job, type(found)(**{**vars(found), "forwards": np.array(counts), "backwards": np.ones_like(counts)}))
        run.complete(job, len(counts), ())
        manifest = {"format": FORMAT, "suite": identity(suite)}
        (run.folder / "manifest.json").write_text(json.dumps(manifest))
    assert passes(tmp_path, LINF) == {"fgsm": (18 + 6) / 6}
