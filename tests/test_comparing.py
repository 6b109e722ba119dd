"""Two runs image by image: McNemar by hand, what differs listed and drawn, other protocols refused by name."""

import json

import numpy as np
import pytest
from kept_runs import keep

from rbench import comparing
from rbench.catalog import Catalog
from rbench.cli import run as command
from rbench.errors import MissingError, UsageError
from rbench.pairing import _paired
from rbench.planner import Variant
from rbench.statistics.intervals import clustered

CATALOG = Catalog.find()
SUITE = CATALOG.suite("digits-linf")
ONLY_FIRST, ONLY_SECOND = (3, 4, 5, 6, 490), (7,)  # right under PGD-20; everybody is wrong on the first three


def kept(root, model, lost, variant=None):
    variant = variant or Variant(probes=("clean", "pgd20"))
    n = variant.limit or 500
    right = {"clean": np.ones(n, bool), "pgd20": ~np.isin(np.arange(n), [0, 1, 2, *lost])}
    return keep(CATALOG, root, "digits-linf", model, variant, right)


@pytest.fixture
def root(tmp_path):
    kept(tmp_path / "runs", "at-digits", ONLY_SECOND)
    kept(tmp_path / "runs", "ews-digits", ONLY_FIRST)
    return tmp_path / "runs"


def compared(root, first="at-digits", second="ews-digits", **options):
    return comparing.compare(first, second, "digits-linf", probes=("clean", "pgd20"), runs=root, **options)


def test_mcnemar_and_the_difference_by_hand(root):
    found = compared(root)
    assert [each.score for each in found.differences] == ["clean", "pgd20"]
    each = found["pgd20"]
    assert (each.first, each.second, each.n) == (4 / 500, 8 / 500, 500)
    assert each.value == pytest.approx(-4 / 500)
    assert each.table.p_value == 2 * (1 + 6) / 2**6
    assert each.discordant == (ONLY_FIRST, ONLY_SECOND)
    assert each.interval.low < each.value < each.interval.high
    turned = compared(root, "ews-digits", "at-digits")["pgd20"]
    assert turned.value == -each.value
    assert turned.interval == pytest.approx((-each.interval.high, -each.interval.low))
    assert (found["clean"].value, found["clean"].table.p_value, found["clean"].discordant) == (0, 1, ((), ()))


def test_images_that_are_seen_more_than_once_count_once():
    first, second = np.array([0.0, 0.5, 1.0, 0.2]), np.array([0.0, 0.25, 1.0, 0.4])
    each = _paired("error", first, second, np.arange(4))
    assert each.table is None
    assert each.value == pytest.approx((0.25 - 0.2) / 4)
    assert each.interval == clustered(first - second, 1.0, -1.0)


def test_the_command_prints_lists_and_draws(root, tmp_path, capsys):
    words = ["compare", "at-digits", "ews-digits", "--suite", "digits-linf", "--probe", "clean", "--probe", "pgd20"]
    words += ["--runs", str(root)]
    assert command([*words, "--score", "pgd20", "--draw", str(tmp_path / "a.png")]) == 0
    out = capsys.readouterr().out
    assert "pgd20    0.8          1.6           -0.80" in out
    assert "0.219" in out  # 14/64
    assert "pgd20, right only by at-digits (5): 3, 4, 5, 6, 490" in out
    assert "pgd20, right only by ews-digits (1): 7" in out
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert command([*words, "--json"]) == 0
    clean, pgd20 = json.loads(capsys.readouterr().out)
    assert (clean["score"], pgd20["first_only"], pgd20["second_only"]) == ("clean", [*ONLY_FIRST], [*ONLY_SECOND])
    assert pgd20["mcnemar_p"] == 14 / 64
    assert command([*words, "--draw", str(tmp_path / "a.jpg")]) == 3
    told = capsys.readouterr()
    assert "ends in .png or .pdf" in told.err
    assert not told.out
    assert command([*words, "--score", "clean", "--draw", str(tmp_path / "b.png")]) == 3
    assert "both sides agree on every image by 'clean'" in capsys.readouterr().err
    assert not (tmp_path / "b.png").exists()


def test_what_is_not_there_or_stale_is_named_by_its_command(root):
    with pytest.raises(MissingError, match=r"rbench eval --suite digits-linf --model awp-digits --probe clean"):
        compared(root, second="awp-digits")
    with pytest.raises(UsageError, match="Did you mean 'ews-digits'"):
        compared(root, second="ews-digit")
    with pytest.raises(UsageError, match="Did you mean 'pgd20'"):
        compared(root, scores=("pgd21",))
    (manifest,) = (root / "digits-linf" / "ews-digits").glob("*/manifest.json")
    manifest.write_text(manifest.read_text().replace('"rbench": "', '"rbench": "0', 1))
    with pytest.raises(MissingError, match=r"older code.*--fresh"):
        compared(root)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"data": "f" * 64}, "data is d{64} there and f{64} here"),
        ({"suite": "digits-linf@1 0000"}, "suite is digits-linf@2 .* there and digits-linf@1 0000 here"),
        ({"samples": 400}, "samples is 500 there and 400 here"),
        ({"code": {"rbench": "0"}}, "were evaluated by different code"),
        ({"suite": "digits-c@1 0000"}, "is a run of digits-c@1 0000, not of suite 'digits-linf'"),
    ],
)
def test_runs_of_other_protocols_are_refused_by_name(root, changed, said):
    (path,) = (root / "digits-linf" / "ews-digits").glob("*/manifest.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    with pytest.raises(UsageError, match=said):
        compared(root, second=str(path.parent))


@pytest.mark.parametrize(("options", "said"), [({"eps": "1/255"}, "its suite is"), ({"limit": 10}, "its samples is 500, not 10"), ({"seed": 1}, "its seed is 0, not 1")])  # fmt: skip # noqa: E501
def test_folders_of_runs_are_no_other_protocol_than_the_options_say(root, options, said):
    folders = [str(path.parent) for path in sorted((root / "digits-linf").glob("*/*/manifest.json"))]
    with pytest.raises(UsageError, match=said):
        compared(root, *folders, **options)
    assert compared(root, *folders)["pgd20"].table.p_value == 14 / 64


def test_scores_that_are_no_means_over_images_are_refused(tmp_path):
    names = [probe.name for probe in CATALOG.suite("digits-c").probes]
    for model in ("standard-digits", "at-digits"):
        keep(CATALOG, tmp_path, "digits-c", model, Variant(), {name: np.ones(500, bool) for name in names})
    with pytest.raises(UsageError, match="no mean over images"):
        comparing.compare("standard-digits", "at-digits", "digits-c", scores=("mce",), runs=tmp_path)
