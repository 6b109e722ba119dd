"""Security curves: the composition against a count by hand, the list of eps, the files, the command line's table."""

import csv
import io
import json

import numpy as np
import pytest

import rbench
from rbench import curve, metrics
from rbench.curve import Point, compose, eps_list, monotone, points_of
from rbench.errors import UsageError
from rbench.report import FORMATS, render
from rbench.report.plot import curve_files
from rbench.statistics.intervals import wilson
from rbench.types import Call, Outcomes, Probe, ScoreSpec, Suite, Threat

N = 40


def outcomes(correct, samples=None):
    """Outcomes of samples with label 0; margins tell where they come from."""
    correct = np.asarray(correct, dtype=bool)
    zeros = np.zeros(len(correct), dtype=np.int64)
    samples = np.arange(len(correct)) if samples is None else np.asarray(samples)
    margin = np.where(correct, 1.0, -1.0)
    return Outcomes(samples, zeros, zeros, zeros, np.where(correct, 0, 1), margin, margin, zeros, zeros)


def suite(**probes):
    asked = tuple(Probe(name, None if name == "clean" else Call("a:b"), **more) for name, more in probes.items())
    scores = [ScoreSpec(name, "rbench.metrics:accuracy", (name,)) for name in probes]
    scores += [ScoreSpec("worst", "rbench.metrics:worst_case", tuple(probes))]
    return Suite("s", 1, "s", "digits", Call("a:b"), asked, tuple(scores), Threat("linf", "8/255"))


@pytest.fixture
def flags():
    """Random flags of two attacks at three eps and of the clean images; attacks leave alone what is wrong already."""
    rng = np.random.default_rng(0)
    clean = rng.random(N) < 0.9
    attacks = {name: [clean & (rng.random(N) < p) for p in (0.9, 0.7, 0.4)] for name in ("a", "b")}
    return clean, attacks


def test_the_composition_is_the_running_minimum_of_every_sample(flags):
    clean, attacks = flags
    points = [Point("0"), Point("1/255"), Point("2/255"), Point("1", unbounded=True)]
    evidence = {
        point.eps: {"clean": outcomes(clean), **{name: outcomes(rows[k]) for name, rows in attacks.items()}}
        for k, point in enumerate(points[1:])
    }
    values = compose(suite(clean={}, a={}, b={}), points, evidence)
    assert {score for _, score in values} == {"a", "b", "worst"}
    for name in ("a", "b", "worst"):
        raw = [clean, *(attacks[name] if name != "worst" else map(np.logical_and, attacks["a"], attacks["b"]))]
        for k, point in enumerate(points):
            held = np.logical_and.reduce(raw[: k + 1])
            score = values[point.eps, name].score
            assert score.value == held.mean()
            assert score.interval == tuple(wilson(int(held.sum()), N))
            assert values[point.eps, name].corrected == int((raw[k] & ~held).sum())
    assert sum(value.corrected for value in values.values()) > 0


def test_without_a_correction_the_scores_are_those_of_the_runs():
    falling = [outcomes(np.arange(N) < k) for k in (30, 20, 10)]
    points = [Point(eps) for eps in ("1/255", "2/255", "3/255")]
    plain = {"clean": outcomes(np.ones(N))}
    evidence = {point.eps: {**plain, "a": falling[k]} for k, point in enumerate(points)}
    values = compose(suite(clean={}, a={}), points, evidence)
    assert [values[p.eps, "a"].score for p in points] == [metrics.accuracy([o]) for o in falling]
    assert not any(value.corrected for value in values.values())


def test_what_was_found_in_less_room_is_carried_over_whole():
    small, large = outcomes([1, 0, 0]), outcomes([1, 1, 0])
    held = monotone([small, large])
    assert held[0] is small
    assert held[1].pred.tolist() == [0, 1, 1]
    assert held[1].margin.tolist() == [1, -1, -1]
    with pytest.raises(ValueError, match="same samples"):
        monotone([small, outcomes([1, 1])])


def test_a_probe_that_asks_a_few_samples_has_their_clean_accuracy_at_eps_0():
    points = [Point("0"), Point("1/255")]
    evidence = {"1/255": {"clean": outcomes([1, 0, 1, 1]), "a": outcomes([0, 1], samples=[1, 3])}}
    spec = suite(clean={}, a={"limit": 2})
    spec = curve.replace(spec, scores=spec.scores[:2])
    values = compose(spec, points, evidence)
    assert (values["0", "a"].score.value, values["0", "a"].score.n) == (0.5, 2)


def test_scores_that_do_not_move_with_eps_have_no_curve():
    names = [score.name for score in curve.attacked(suite(clean={}, a={}, fixed={"eps": "1/255"}))]
    assert names == ["a"]


def test_survivors_without_bound_cast_doubt_on_the_strongest_attack_only():
    points = [Point("1/255"), Point("1", unbounded=True)]
    some, none = outcomes(np.arange(N) < 20), outcomes(np.zeros(N))

    def codes(a, b):
        evidence = {point.eps: {"a": a, "b": b} for point in points}
        values = compose(suite(a={}, b={}), points, evidence)
        return {name: [(f.code, f.level) for f in values["1", name].score.findings] for name in ("a", "b")}

    assert codes(some, some) == {"a": [("RB123", "error")], "b": [("RB123", "error")]}
    assert codes(some, none) == {"a": [("RB123", "info")], "b": []}
    assert codes(none, none) == {"a": [], "b": []}


def test_the_list_is_sorted_by_value_and_each_value_is_asked_once():
    assert eps_list(" 16/255, 0,8/255,4/255,16/510 , 0/7", "linf") == ("0", "4/255", "8/255", "16/255")
    assert eps_list(["2", "0.5"], "l2") == ("0.5", "2")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0,,8/255", "empty entry"),
        ("0,8/255,", "empty entry"),
        ([], "empty entry"),
        ("0,eight", "'eight' is not a number"),
        ("0,nan", "'nan' is not a number"),
        ("0,-8/255", "must be greater than 0"),
        ("4,8", "Did you mean '4/255'?"),
    ],
)
def test_lists_that_make_no_sense_are_refused(text, sentence):
    with pytest.raises(UsageError, match=sentence):
        eps_list(text, "linf")


@pytest.mark.parametrize(
    ("eps", "norm", "size", "last"),
    [
        (("0", "8/255"), "linf", 3072, "1"),
        (("0", "1"), "linf", 3072, "1"),
        (("0.5",), "l2", 3072, "56"),
        (("0.5",), "l2", 49, "7"),
        (("0.5",), "l2", 50, "8"),
        (("0.5", "60"), "l2", 3072, "60"),
    ],
)
def test_the_last_ball_holds_the_whole_box_and_is_asked_once(eps, norm, size, last):
    points = points_of(eps, norm, size)
    assert [point.unbounded for point in points] == [False] * (len(points) - 1) + [True]
    assert points[-1].eps == last
    assert points[-1].radius >= (1 if norm == "linf" else np.sqrt(size))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    from quick import SUITE

    from rbench.catalog import Catalog

    root = tmp_path_factory.mktemp("study")
    (root / "suites").mkdir()
    text = SUITE.format(attack="rbench.attacks.pgd:pgd", args="{ steps = 3 }", norm="linf", eps="24/255")
    (root / "suites" / "quick.toml").write_text(text)
    options = {"limit": 20, "runs": root / "runs", "catalog": Catalog.find([root])}
    return rbench.security_curve("standard-digits", "quick", "16/255,0,8/255", **options), options


def test_each_eps_is_an_ordinary_run_and_the_same_call_resumes(study):
    first, options = study
    assert [point.eps for point in first.curve.points] == ["0", "8/255", "16/255", "1"]
    assert list(first.runs) == ["8/255", "16/255", "1"]
    alone = rbench.evaluate("standard-digits", "quick", eps="8/255", **options)
    assert (alone.fresh_blocks, alone.folder) == (0, first.runs["8/255"].folder)
    again = rbench.security_curve("standard-digits", "quick", ["0", "8/255", "16/255"], **options)
    assert again.fresh_blocks == 0
    assert again.curve == first.curve
    assert again.folder == first.folder


def test_eps_0_is_the_clean_accuracy_and_the_end_is_zero(study):
    frame = study[0].curve.frame.set_index(["score", "eps"])
    clean = study[0].runs["8/255"].scores["clean"]
    for score in ("second", "worst"):
        assert frame.loc[score, "0"].value == clean.value
        assert frame.loc[score, "1"].value == 0
        assert frame.loc[score].value.is_monotonic_decreasing
        assert frame.loc[score].unbounded.tolist() == [False, False, False, True]


def test_the_files_beside_the_runs_hold_the_curve(study):
    found, _ = study
    assert found.folder.parent == found.runs["1"].folder.parent
    files = {path.name: path.read_bytes() for path in found.folder.iterdir()}
    assert files.keys() == {"curve.png", "curve.pdf", "curve.csv"}
    assert files["curve.png"].startswith(b"\x89PNG")
    assert files["curve.pdf"].startswith(b"%PDF")
    rows = list(csv.DictReader(io.StringIO(files["curve.csv"].decode())))
    assert [float(row["value"]) for row in rows] == found.curve.frame.value.tolist()
    assert curve_files(found.curve) == files  # nothing in them depends on the day


def test_the_picture_shows_what_was_measured(study, monkeypatch):
    """The lines that are handed to matplotlib carry the values, and the unbounded point lies right of all others."""
    from matplotlib.axes import Axes

    drawn, original = [], Axes.plot
    monkeypatch.setattr(Axes, "plot", lambda self, x, y, *a, **k: drawn.append((x, y)) or original(self, x, y, *a, **k))
    rbench.report.plot.picture(study[0].curve, "png")
    frame = study[0].curve.frame
    wanted = frame[(frame.score == "second") & ~frame.unbounded]
    assert (list(drawn[0][0]), list(drawn[0][1])) == (wanted.radius.tolist(), (100 * wanted.value).tolist())
    x, y = drawn[1]
    assert y == [100 * wanted.value.iloc[-1], 0]
    assert x[1] > x[0] == wanted.radius.max()


def test_the_same_table_in_every_format(study):
    sheet = study[0].sheet
    second = study[0].curve.frame.query("score == 'second'")
    texts = {form: render(sheet, form) for form in FORMATS}
    for form in ("terminal", "markdown", "latex"):
        assert all(f"{100 * value:.1f}" in texts[form] for value in second.value)
        assert "1 (unbounded)" in texts[form]
        assert "ONLY THE FIRST 20 OF 500 SAMPLES" in texts[form]
        assert "**" not in texts[form]  # no eps is better than another
        assert "textbf" not in texts[form]
    assert [float(row["value"]) for row in csv.DictReader(io.StringIO(texts["csv"])) if row["column"] == "quick:second"] == second.value.tolist()  # fmt: skip # noqa: E501
    page = json.loads(texts["json"])
    assert page["eps"] == {"0": "0", "8/255": "8/255", "16/255": "16/255", "1": "1 (unbounded)"}
    assert page["cells"]["16/255"]["quick:second"]["value"] == second.value.tolist()[2]


def test_a_curve_from_0_needs_a_clean_probe_and_any_curve_an_attack(study):
    _, options = study
    with pytest.raises(UsageError, match="add the probe without attack"):
        rbench.security_curve("standard-digits", "quick", "0,8/255", probes=["second"], **options)
    with pytest.raises(UsageError, match="no score of an attack whose eps could vary"):
        rbench.security_curve("standard-digits", "quick", "0,8/255", probes=["clean"], **options)
    with pytest.raises(UsageError, match="must be greater than 0"):
        rbench.evaluate("standard-digits", "quick", eps="0", **options)
