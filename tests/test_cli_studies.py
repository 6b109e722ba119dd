"""--probe, --backend and lists of eps on the command line, in this process."""

import json
from pathlib import Path

import pytest

from rbench.cli import run

ATTACK = ("rbench.attacks.apgd:apgd", "{ steps = 3 }")


@pytest.fixture
def cli(suite, tmp_path, capsys):
    """Run one command on the suite `quick` with a short APGD; returns exit code, stdout and stderr."""
    suite(*ATTACK)

    def call(verb, *words, model="standard-digits"):
        common = ["--suite", "quick", "--model", model, "--limit", "20", "--catalog", str(tmp_path / "shelf")]
        code = run([verb, *common, *words])
        return code, *capsys.readouterr()

    return call


def test_a_probe_that_is_named_is_the_only_one_and_resumes(cli):
    code, out, err = cli("eval", "--probe", "second", "--workers", "1", "-q")
    assert code == 0, err
    assert "second" in out
    assert "clean" not in out
    assert "only-second" in err
    assert "nothing to do" in cli("eval", "--probe", "second", "--workers", "1", "-q")[2]


def test_an_evaluation_by_another_package_says_so_and_what_it_leaves_out(cli):
    code, out, err = cli("eval", "--backend", "pyautoattack", "--workers", "1", "-q")
    assert code == 0, err
    assert "second [pyautoattack]" in out
    assert "worst" not in out
    assert "by-pyautoattack" in err
    assert "left out: probe first: pyautoattack has no counterpart" in err
    assert "left out: score worst: needs a probe that is left out" in err


def test_a_plan_by_another_package(cli):
    code, out, _ = cli("plan", "--backend", "pyautoattack", "--json")
    assert code == 0
    rows = json.loads(out)
    assert [row["left"] for row in rows if row["probe"] != "-"] == [20, 20]
    assert next(row["attack"] for row in rows if row["probe"] == "-").startswith("left out: probe first")


def test_a_cross_check_prints_both_numbers_agreement_and_discordant_samples(cli):
    code, out, err = cli("check", "--backend", "pyautoattack", "--workers", "1", "-q")
    assert code == 0, err
    (row,) = [line.split() for line in out.splitlines() if line.startswith("second ")]
    assert row[1] == "20"
    assert row[-1].endswith("%")
    assert "\nsecond: " in out
    assert cli("check", "--backend", "pyautoattack", "--workers", "1", "-q")[1] == out


def test_a_single_probe_is_cross_checked_by_any_attack_of_torchattacks(cli):
    pytest.importorskip("torchattacks")
    code, out, err = cli("check", "--backend", "torchattacks:EOTPGD", "--probe", "first", "--workers", "1", "-q")
    assert code == 0, err
    assert "torchattacks:EOTPGD" in out
    assert "first" in out


def test_a_list_of_eps_gives_a_table_a_picture_and_its_path(cli):
    words = ["eval", "--eps", "8/255,0", "--probe", "clean", "--probe", "second", "--workers", "1", "-q"]
    code, out, err = cli(*words)
    assert code == 0, err
    assert [line.split()[0] for line in out.splitlines() if "[" in line and "accuracy" not in line.lower()] == ["0", "8/255", "1"]  # fmt: skip # noqa: E501
    (path,) = [word for word in err.split() if word.endswith("curve.png")]
    assert Path(path).read_bytes().startswith(b"\x89PNG")
    assert "WARNING: numbers of a subset" in err
    again = cli(*words, "--json")
    assert "complete: nothing to do" in again[2]
    assert list(json.loads(again[1])["eps"]) == ["0", "8/255", "1"]
    assert cli(*words, "--format", "csv")[1].startswith("eps,column,value")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["eval", "--eps", "0"], 3, "eps = '0' must be greater than 0"),
        (["eval", "--eps", "0,,1/255"], 3, "has an empty entry"),
        (["eval", "--eps", "0,8"], 3, "Did you mean '8/255'?"),
        (["eval", "--probe", "secnd"], 3, "Did you mean 'second'?"),
        (["eval", "--backend", "autoattack"], 3, "Did you mean 'pyautoattack'?"),
        (["eval", "--backend", "pyautoattack", "--probe", "first"], 3, "has a counterpart of no attack"),
        (["eval", "--format", "latx"], 3, "Did you mean 'latex'?"),
        (["eval", "--backend", "torchattacks"], 3, "write torchattacks:PGD"),
    ],
)
def test_mistakes_get_one_sentence(cli, words, code, sentence):
    got, out, err = cli(*words)
    assert (got, out) == (code, "")
    assert sentence in err
    assert "Traceback" not in err


def test_a_cross_check_needs_model_and_suite(capsys):
    assert run(["check", "--backend", "pyautoattack", "--model", "at-digits"]) == 3
    assert "a cross-check needs a model and a suite" in capsys.readouterr().err
