"""Gates as tests in a project outside this repository, and in the CI systems that people use."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from quick import SUITE

from rbench.catalog import Catalog
from rbench.gating import saving

ROOT = Path(__file__).parents[1]
GATE = """
title = "Theirs"
suite = "quick"
model = "at-digits"
[scores.worst]
delta = 0.1
[policy]
"topic/*" = "warn"
"""
TESTS = """
import pytest

@pytest.mark.robustness
def test_equal(rbench_gate):
    found = rbench_gate("theirs")
    assert found.outcome == "PASS"

@pytest.mark.robustness
def test_weaker(rbench_gate):
    rbench_gate("theirs", model="standard-digits")

@pytest.mark.robustness
def test_undecided(rbench_gate):
    rbench_gate("theirs", images=2, branch="main")

@pytest.mark.robustness
def test_undecided_on_a_topic(rbench_gate):
    assert rbench_gate("theirs", images=2, branch="topic/x").outcome == "INCONCLUSIVE"

def test_other():
    pass
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("theirs")
    for name in ("suites", "reports/gates", "tests"):
        (folder / name).mkdir(parents=True)
    suite = SUITE.format(attack="rbench.attacks.fgsm:fgsm", args="{}", norm="linf", eps="24/255")
    (folder / "suites" / "quick.toml").write_text(suite)
    (folder / "reports" / "gates" / "theirs.toml").write_text(GATE)
    (folder / "tests" / "test_theirs.py").write_text(TESTS)
    (folder / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "--strict-markers"\n')
    saving.save("theirs", catalog=Catalog.find([folder]), runs=folder / "runs")
    return folder


def run(project, *words):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *words]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300, check=False)


def test_a_project_elsewhere_gates_its_models_by_the_fixture(project):
    done = run(project, "-rf")
    assert "2 failed, 3 passed" in done.stdout, done.stdout + done.stderr
    assert "FAIL: standard-digits against the baseline of theirs" in done.stdout
    assert "INCONCLUSIVE: at-digits against the baseline of theirs" in done.stdout
    assert "it only warns" in done.stdout
    assert "FAILED tests/test_theirs.py::test_weaker" in done.stdout
    assert "FAILED tests/test_theirs.py::test_undecided" in done.stdout
    assert "gating.py" not in done.stdout  # no traceback of ours


def test_the_marker_leaves_them_out(project):
    assert "1 passed, 4 deselected" in run(project, "-m", "not robustness").stdout


def test_the_action_runs_the_command_that_there_is():
    from rbench.cli import app

    text = (ROOT / ".github" / "actions" / "gate" / "action.yml").read_text()
    (line,) = re.findall(r"run: rbench (.*)", text)
    verb, *words = line.split()
    (command,) = [each for each in app.registered_commands if (each.name or each.callback.__name__) == verb]
    known = set(command.callback.__annotations__)
    for word in words:
        if word.startswith("--"):
            assert word.removeprefix("--").replace("-", "_") in known
    asked, given = (
        set(re.findall(r"inputs\.(\w+)", text)),
        set(re.findall(r"^  (\w+):\n    description", text, re.MULTILINE)),
    )
    assert asked == given
