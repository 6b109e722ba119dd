"""Everything that an engine elsewhere does, on workers in this process: the same bytes as without it."""

import pytest
from loopback import looped
from quick import contents

import rbench
from rbench.making.run import make


@pytest.fixture
def grounds(monkeypatch, tmp_path):
    return looped(monkeypatch, tmp_path / "store")


def test_an_evaluation_elsewhere_has_the_bytes_of_one_here_and_hears_of_passes(suite, grounds, tmp_path, monkeypatch):
    catalog, heard = suite(), []
    monkeypatch.setattr("rbench.progress.Silent.tick", lambda _bar, passes: heard.append(passes))
    options = {"limit": 40, "batch": 10, "catalog": catalog}
    here = rbench.evaluate("at-digits", "quick", runs=tmp_path / "here", **options)
    by_hand, heard[:] = sum(heard), []
    far = rbench.evaluate("at-digits", "quick", runs=tmp_path / "far", engine="ray", workers=2, **options)
    assert contents(tmp_path / "far") == contents(tmp_path / "here")
    assert far.fresh_blocks == here.fresh_blocks == 12
    (ground,) = grounds
    assert ground.number == 2 + 12
    assert sum(heard) >= by_hand
    assert list((tmp_path / "store").rglob("*.safetensors"))  # the weights came in a parcel


def test_a_single_task_is_not_run_by_the_driver(suite, grounds, tmp_path):
    rbench.evaluate("at-digits", "quick", limit=5, probes=("clean",), catalog=suite(), runs=tmp_path, engine="ray")
    assert grounds[0].number == 2


def test_code_in_files_is_what_the_workers_run(suite, grounds, tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(
        "import torch\nfrom rbench.attacks.fgsm import fgsm\nfrom rbench.models.linear import Linear\n"
        "class Net(Linear):\n    pass\n"
        "def net():\n    torch.manual_seed(0)\n    return Net(3 * 32 * 32, 10)\n"
        "def attack(model, x, y, threat, *, rng):\n    return fgsm(model, x, y, threat, rng=rng)\n"
    )
    monkeypatch.chdir(tmp_path)
    options = {"limit": 20, "catalog": suite("own.py:attack", "{}")}
    rbench.evaluate("own.py:net", "quick", runs=tmp_path / "here", **options)
    rbench.evaluate("own.py:net", "quick", runs=tmp_path / "far", engine="ray", **options)
    assert contents(tmp_path / "far") == contents(tmp_path / "here")
    assert list((tmp_path / "store").rglob("own.py"))


@pytest.mark.parametrize("form", ["npy", "folders"])
def test_corruptions_made_elsewhere_have_the_bytes_of_those_made_here_and_resume(grounds, form, tmp_path):
    options = {"corruptions": ("pixelate", "brightness"), "limit": 9, "form": form}
    make("digits", tmp_path / "here", **options)
    done = make("digits", tmp_path / "far", engine="ray", **options)
    assert (contents(tmp_path / "far"), done.fresh) == (contents(tmp_path / "here"), 90)
    (ground,) = grounds
    assert ground.number > 1
    assert make("digits", tmp_path / "far", engine="ray", **options).fresh == 0
