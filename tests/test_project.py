"""The project itself: layers, packaging, and a README whose every command runs."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import rbench
from rbench.cli import run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```(?:bash|console)\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line
]
READING = ("ls", "show", "plan", "table", "export", "card", "report", "figure", "explain", "compare")
FIRST_TWO = COMMANDS[:2]  # they set up an environment; `.ci/run` runs them


def test_layers_hold():
    done = subprocess.run([shutil.which("lint-imports") or Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False)  # fmt: skip # noqa: E501
    assert done.returncode == 0, done.stdout


def test_the_first_screen_has_exactly_two_commands_which_ci_runs():
    screen = "\n".join(README.splitlines()[:40])
    first = [
        line for block in re.findall(r"```bash\n(.*?)```", screen, re.DOTALL) for line in block.splitlines() if line
    ]
    assert first == FIRST_TWO
    main, tests = first
    assert main.endswith("rbench eval --suite digits-linf --model ews-digits")
    assert tests.endswith("pytest")
    assert all("python3 -m venv" in line and "pip install" in line for line in first)
    assert "README.md" in (ROOT / ".ci" / "run").read_text()


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of what the commands read and write, so that training publishes there and not here."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("rbench", "model_zoo", "suites", "reports", "tests", "pyproject.toml", "README.md"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    for model in ("ews-digits", "standard-digits"):  # for `export` and `compare`
        rbench.evaluate(model, "digits-linf", limit=4, probes=("clean",), runs=folder / "runs")
    return folder


@pytest.mark.parametrize("command", [c for c in COMMANDS[2:] if c.startswith("rbench")])
def test_every_command_in_the_readme_runs(command, clone, monkeypatch):
    words = command.split("#")[0].split()[1:]
    if words[0] == "eval":
        words += ["--limit", "4", "--workers", "1"]  # the same command on fewer samples; the last of two options counts
    if words[0] == "compare":
        words += ["--limit", "4", "--probe", "clean"]
    if words[0] == "gate":
        words += ["--images", "4", "--workers", "1"]
    if words[0] == "analyse":
        words += ["--limit", "20"]
    if words[0] == "train" and "--dry-run" not in words:
        words += ["--override", "epochs=1"]
    if "16/255" in words:
        words += ["--probe", "clean", "--probe", "pgd20"]  # AutoAttack on samples that stand is the main job's
    if words[0] in READING:  # a process of their own would import torch for each, and show nothing more
        monkeypatch.chdir(clone)
        monkeypatch.setenv("RBENCH_RUNS", "runs")
        assert run(words) == 0
        return
    done = subprocess.run(
        [sys.executable, "-m", "rbench", *words], cwd=clone, capture_output=True, text=True, timeout=400, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "RBENCH_RUNS": "runs"},  # crowded threads wait for one another
    )  # fmt: skip
    # Four images decide no gate, but one pass an image may.
    expected = {"rbench gate ews-digits --model standard-digits": 1}
    assert done.returncode == expected.get(command, 2 if words[0] == "gate" else 0), done.stderr


def test_the_python_in_the_readme_runs(clone):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert "limit=100" in code
    done = subprocess.run(
        [sys.executable, "-c", code.replace("limit=100", "limit=10")], cwd=clone, capture_output=True, text=True,
        timeout=400, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [ROOT / "README.md", *(ROOT / "reports").glob("*.md")], ids=lambda page: page.name)
def test_links_of_pages_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}, anchor


def test_all_other_commands_of_the_readme_are_known():
    other = {command for command in COMMANDS[2:] if not command.startswith("rbench")}
    assert other == {".venv/bin/pytest tests/benchmarks --benchmark-only", "bash .ci/run"}


def test_every_verb_is_in_the_readme():
    from rbench.cli import app

    verbs = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert verbs == {
        "ls",
        "show",
        "plan",
        "eval",
        "table",
        "train",
        "study",
        "report",
        "search",
        "analyse",
        "figure",
        "compare",
        "gate",
        "merge",
        "check",
        "explain",
        "corrupt",
        "export",
        "card",
    }
    assert {group.name for group in app.registered_groups} == {"baseline", "robustbench"}
    assert all(f"rbench {verb}" in README for verb in verbs)
    assert "rbench baseline save" in README


def test_nothing_is_pinned_from_above_without_a_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert not [dependency for dependency in project["dependencies"] if "<" in dependency or "==" in dependency]


def test_the_license_is_apache_2():
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]


def test_every_extra_is_tried_in_an_environment_of_its_own():
    """By .ci/extras; those that are groups of others, `test` and `dev`, are what CI installs anyway."""
    script = (ROOT / ".ci" / "extras").read_text()
    named = {word for line in re.findall(r"'\.\[(.+?)\]", script) for word in line.split(",")}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert named == extras.keys() - {"dev"}
    tests = re.search(r"declare -A tests=\((.+?)\n\)", script, re.DOTALL)[1]
    assert all((ROOT / path).exists() for path in re.findall(r"tests/[\w/.]+", tests))


def test_an_extra_that_does_not_exist_is_refused_before_anything_is_installed():
    done = subprocess.run(["bash", ".ci/extras", "tim"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "no extra named 'tim'; there are: timm hf" in done.stderr
