"""Figures of what was run: their data by hand, what is missing named, and everything on the shelf drawable."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evidence import outcomes
from kept_runs import keep

from rbench import studies
from rbench.catalog import Catalog
from rbench.cli import run as command
from rbench.errors import MissingError, UsageError
from rbench.planner import Variant
from rbench.report.charts import corruptions, curves, scores, searches, trainings

N = 20
WHOLE = Variant()
CATALOG = Catalog.find()
LINF = CATALOG.suite("digits-linf")


def some(count):
    """The first so many of N samples are right."""
    return np.arange(N) < count


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs"


def linf(root, model, clean, robust, variant=WHOLE):
    probes = [probe.name for probe in variant.apply(LINF).probes]
    right = {name: some(clean if name == "clean" else robust) for name in probes}
    return keep(CATALOG, root, "digits-linf", model, variant, {k: np.resize(v, 500) for k, v in right.items()})


def test_a_scatter_has_the_scores_of_each_model(root):
    linf(root, "at-digits", 20, 10)
    linf(root, "standard-digits", 19, 0)
    drawn = scores.scatter(
        CATALOG, root, models=("at-digits", "standard-digits"), x="digits-linf:clean", y="digits-linf:pgd20",
        arrows=(("standard-digits", "at-digits"),),
    )  # fmt: skip
    table = drawn.frame.pivot_table(index="model", columns="score", values="value")
    assert table.loc["at-digits"].tolist() == [1.0, 0.5]
    assert table.loc["standard-digits"].tolist() == [0.95, 0.0]
    (axes,) = drawn.figure.axes
    assert axes.get_xlabel() == "Clean (%) \N{UPWARDS ARROW}"
    places = [tuple(float(v) for v in line.get_xydata()[0]) for line in axes.lines if len(line.get_xydata()) == 1]
    assert (100.0, 50.0) in places
    assert (95.0, 0.0) in places
    (arrow,) = [text for text in axes.texts if text.arrow_patch is not None]
    assert (arrow.xy, arrow.xyann) == ((100.0, 50.0), (95.0, 0.0))


def test_a_heap_is_magnified(root):
    linf(root, "at-digits", 20, 10)
    linf(root, "standard-digits", 19, 0)
    models, window = ("at-digits", "standard-digits"), (90.0, 100.5, 40.0, 60.0)
    drawn = scores.scatter(
        CATALOG, root, models=models, x="digits-linf:clean", y="digits-linf:pgd20", zoom=window
    )  # fmt: skip
    (inner,) = drawn.figure.axes[0].child_axes
    assert (*inner.get_xlim(), *inner.get_ylim()) == window
    assert [tuple(float(v) for v in line.get_xydata()[0]) for line in inner.lines] == [(100.0, 50.0), (95.0, 0.0)]


def test_dots_are_the_same_numbers_with_their_intervals(root):
    linf(root, "at-digits", 20, 10)
    drawn = scores.dots(CATALOG, root, models=("at-digits",), scores=("digits-linf:clean", "digits-linf:pgd20"))
    row = drawn.frame[drawn.frame.score == "digits-linf:pgd20"].iloc[0]
    z2 = 1.959963984540054**2
    half = z2**0.5 / (1 + z2 / 500) * (0.25 / 500 + z2 / (4 * 500**2)) ** 0.5  # Wilson's interval about one half
    assert (row.value, row.n) == (0.5, 500)
    assert (row.low, row.high) == pytest.approx((0.5 - half, 0.5 + half))


def test_what_is_missing_is_named_by_its_commands(root):
    linf(root, "at-digits", 20, 10)
    with pytest.raises(MissingError) as caught:
        scores.dots(CATALOG, root, models=("at-digits", "ews-digits", "awp-digits"), scores=("digits-linf:clean",))
    lines = str(caught.value).splitlines()[1:]
    assert lines == [
        f"rbench eval --suite digits-linf --model {name} --runs {root}" for name in ("ews-digits", "awp-digits")
    ]
    with pytest.raises(UsageError, match="no model named 'ews-digits' in arrows"):
        scores.scatter(
            CATALOG, root, models=("at-digits",), x="digits-linf:clean", y="digits-linf:fgsm",
            arrows=(("at-digits", "ews-digits"),),
        )  # fmt: skip


def test_a_heat_map_counts_the_errors_of_each_severity(root):
    suite = CATALOG.suite("digits-c")
    wrong = {name: number % 4 for number, name in enumerate(probe.name for probe in suite.probes)}
    model = "standard-digits"
    keep(CATALOG, root, "digits-c", model, Variant(), {name: np.ones(500, bool) for name in wrong})
    evidence = {
        name: outcomes(np.tile(np.arange(4) >= bad, 5), group=np.repeat(np.arange(1, 6), 4))
        for name, bad in wrong.items()
    }
    frame = pd.DataFrame(list(corruptions._rows(model, {n: o for n, o in evidence.items() if n != "clean"})))
    assert len(frame) == 15 * 5
    assert set(frame.n) == {4}
    assert frame.groupby("corruption").error.first().to_dict() == {
        name: bad / 4 for name, bad in wrong.items() if name != "clean"
    }
    drawn = corruptions.heat(CATALOG, root, suite="digits-c", models=(model,))  # all 500 right
    assert drawn.frame.error.max() == 0
    assert len(drawn.figure.axes) == 1
    with pytest.raises(UsageError, match="has no corruption"):
        corruptions.heat(CATALOG, root, suite="digits-linf", models=(model,))


def test_security_curves_keep_fallen_samples_fallen(root):
    probes = ("clean", "pgd20")
    for eps, robust in (("8/255", 10), ("16/255", 12)):  # the attack misses two that it found in less room
        linf(root, "at-digits", 20, robust, Variant(eps=eps, probes=probes))
    drawn = curves.security(
        CATALOG, root, suite="digits-linf", score="pgd20", models=("at-digits",), eps="0,16/255,8/255", probes=probes
    )
    assert drawn.frame.eps.tolist() == ["0", "8/255", "16/255"]
    assert drawn.frame.value.tolist() == [1.0, 0.5, 0.5]
    assert drawn.frame.corrected.tolist() == [0, 0, 50]
    with pytest.raises(MissingError, match=r"--model ews-digits --eps 8/255 --probe clean --probe pgd20"):
        curves.security(
            CATALOG, root, suite="digits-linf", score="pgd20", models=("ews-digits",), eps="0,8/255", probes=probes
        )
    with pytest.raises(UsageError, match="Did you mean 'pgd20'"):
        curves.security(CATALOG, root, suite="digits-linf", score="pgd21", models=("at-digits",), eps="8/255")
    with pytest.raises(UsageError, match="names no eps above 0"):
        curves.security(CATALOG, root, suite="digits-linf", score="pgd20", models=("at-digits",), eps="0")


def test_training_curves_are_those_of_the_epochs(root):
    for seed, clean in ((0, (0.5, 0.9)), (1, (0.7, 0.8))):
        folder = root / "train" / "at-digits" / f"seed{seed}"
        folder.mkdir(parents=True)
        rows = "".join(f"{epoch},{value},{'' if epoch else 0.25}\n" for epoch, value in enumerate(clean))
        (folder / "metrics.csv").write_text("epoch,clean,robust\n" + rows)
        (folder / "weights.safetensors").touch()
    drawn = trainings.trainings(CATALOG, root, models=("at-digits",), seeds=(0, 1))
    left, right = drawn.figure.axes
    assert left.lines[0].get_ydata() == pytest.approx([40, 15])  # the mean of 50 and 30, of 10 and 20
    assert right.lines[0].get_xydata().tolist() == [[0, 75]]
    with pytest.raises(MissingError, match=rf"rbench train at-digits --seed 2 --out {root / 'train'}"):
        trainings.trainings(CATALOG, root, models=("at-digits",), seeds=(0, 2))


def test_figures_of_searches_are_drawn_of_their_reports(root):
    reports = Path(__file__).parents[2] / "reports"
    drawn = searches.search(CATALOG, reports, name="robnet-digits", figure="density")
    assert len(drawn.frame) == CATALOG.search("robnet-digits").sample
    with pytest.raises(UsageError, match="Did you mean 'density'"):
        searches.search(CATALOG, reports, name="robnet-digits", figure="densty")
    with pytest.raises(MissingError, match="rbench search robnet-digits"):
        searches.search(CATALOG, root, name="robnet-digits", figure="density")


def test_a_figure_is_three_files_and_the_same_bytes_again(tmp_path, capsys):
    words = ["figure", "digits-robnet-fsp", "--runs", str(Path(__file__).parents[2] / "reports"), "--out"]
    assert [command([*words, str(tmp_path / name)]) for name in "ab"] == [0, 0]
    assert str(tmp_path / "a" / "digits-robnet-fsp.png") in capsys.readouterr().out
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in "ab")
    assert first == second
    assert {name: data[:4] for name, data in first.items()} == {
        "digits-robnet-fsp.png": b"\x89PNG", "digits-robnet-fsp.pdf": b"%PDF", "digits-robnet-fsp.csv": b"cand",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ('models = ["at-digit"]\nscores = ["digits-linf:clean"]', "Did you mean 'at-digits'"),
        ('models = ["at-digits"]\nscores = ["digits-linf:cleen"]', "Did you mean 'clean'"),
        ('models = ["at-digits"]\nscores = ["digits-lnf:clean"]', "Did you mean 'digits-linf'"),
        ('models = ["at-digits"]\nscore = ["digits-linf:clean"]', "Did you mean 'scores'"),
    ],
)
def test_a_wrong_figure_is_told_with_its_file_and_the_nearest_match(args, said, tmp_path):
    (tmp_path / "reports" / "figures").mkdir(parents=True)
    file = tmp_path / "reports" / "figures" / "wrong.toml"
    file.write_text(f'title = "x"\n[draw]\nuse = "rbench.report.charts.scores:dots"\n[draw.args]\n{args}\n')
    catalog = Catalog((*CATALOG.roots, tmp_path))
    with pytest.raises(UsageError, match=said) as caught:
        studies.figure("wrong", runs=tmp_path / "runs", catalog=catalog)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("name", ["epochs", "sizes"])
def test_figures_of_trainings_that_are_not_there_name_the_command(name, tmp_path):
    with pytest.raises(MissingError, match=r"no checkpoint .*; make it: rbench (train|study) semirobust-digits"):
        studies.figure(f"digits-semirobust-{name}", runs=tmp_path)
