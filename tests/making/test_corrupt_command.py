"""`rbench corrupt` on the command line: what it says, its defaults, mistakes."""

import subprocess
import sys

import pytest
from makings import ARRAYS, HERE, stopped

from rbench.cli import run
from rbench.corruptions.tables import CORRUPTIONS
from rbench.errors import UsageError
from rbench.making.run import make


@pytest.mark.parametrize("nothing", ["corruptions", "severities"])
def test_no_dataset_of_nothing(tmp_path, nothing):
    with pytest.raises(UsageError, match="nothing to make"):
        make("digits", tmp_path / "out", **{nothing: ()}, form="folders")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--corruption", "pixelat"], 3, "Did you mean 'pixelate'?"),
        (["--data", "digit"], 3, "Did you mean 'digits'?"),
        (["--data", "nowhere.py:load"], 4, "no file"),
        (["--data", "{loaders}:colours"], 3, "Did you mean 'colour'?"),
        (["--data", "{loaders}:grey"], 3, "repeats the grey channel"),
        (["--data", "{loaders}:small"], 3, "16 x 16 pixels are too small"),
        (["--data", "{loaders}:colour", "--table", "33"], 3, "table = 33: there are constants for 32, 64, 224, 299"),
        (["--data", "{loaders}:broken"], 4, "RuntimeError: no such luck"),
        (["--data", "cifar10"], 4, "no intact CIFAR10"),
        (["--generator", "hendricks"], 3, "Did you mean 'hendrycks'?"),
        (["--severity", "0"], 3, "severity = 0 must be one of 1, 2, 3, 4, 5"),
        (["--severity", "6", "--format", "folders"], 3, "severity = 6 must be"),
        (["--severity", "3"], 3, "add --format folders"),
        (["--format", "nyp"], 3, "Did you mean 'npy'?"),
        (["--limit", "0"], 3, "Invalid value for '--limit'"),
        (["--seed", "-1"], 3, "seed = -1 must lie in"),
        (["--workers", "0"], 3, "Invalid value for '--workers'"),
        (["--frost", "nowhere"], 3, "no folder nowhere of frost photographs"),
        (["--out", "{loaders}"], 3, "is a file; name a folder"),
        (["--out", "/proc/nowhere"], 4, "cannot write /proc/nowhere"),
        (["--size", "224"], 3, "go with --preview"),
        (["--preview", "x.jpg"], 3, "leave out --out"),
    ],
)  # fmt: skip
def test_mistakes_get_one_sentence_before_anything_is_written(words, code, sentence, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loaders.py").write_text(ARRAYS)
    words = [word.format(loaders=tmp_path / "loaders.py") for word in words]
    assert run([*HERE, "--corruption", "brightness", "--out", "out", *words]) == code
    out, err = capsys.readouterr()
    assert sentence in " ".join(err.replace("│", " ").split())
    assert (out, (tmp_path / "out").exists()) == ("", False)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "name a dataset and a folder"),
        (["--data", "digits"], "name a dataset and a folder"),
        (["--preview", "x.jpg"], "write --preview FILE.png"),
        (["--preview", "x.png", "--data", "digits", "--size", "64"], "leave out --image and --size"),
        (["--preview", "x.png", "--size", "20"], "too small"),
        (["--preview", "x.png", "--size", "-4"], "size = -4 must be at least 1"),
        (["--preview", "x.png", "--image", "none.jpg"], "none.jpg is no image that can be read"),
        (["--preview", "x.png", "--corruption", "fgo"], "Did you mean 'fog'?"),
    ],
)
def test_mistakes_about_what_to_make(words, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["corrupt", *words]) in (3, 4)
    out, err = capsys.readouterr()
    assert sentence in err
    assert (out, list(tmp_path.iterdir())) == ("", [])


def test_the_command_makes_resumes_and_says_so(tmp_path, capsys):
    words = [*HERE, "--out", str(tmp_path / "out"), "--corruption", "brightness"]
    with stopped(8):
        assert run(words) == 5
    assert (
        f"To resume: rbench corrupt --data digits --limit 9 -q --workers 1 --out {tmp_path}" in capsys.readouterr().err
    )
    assert run(words) == 0
    out, err = capsys.readouterr()
    assert out.split() == [str(tmp_path / "out")]
    assert "complete: 10 images made; 1 corruption x 5 severities x 9 images of digits, layout npy" in err
    assert run(words) == 0
    assert "complete: nothing to do" in capsys.readouterr().err


def test_help_needs_no_torch():
    code = "import sys; from rbench.cli import run; run(['corrupt', '--help']); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--preview" in done.stdout


def test_by_default_the_common_corruptions_are_made_and_extra_adds_four(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(
        "rbench.making.run.make", lambda *args, corruptions, **options: asked.append(corruptions) or 1 / 0
    )
    for words in ([], ["--extra"], ["--extra", "--corruption", "fog"]):
        with pytest.raises(ZeroDivisionError):
            run([*HERE, "--out", str(tmp_path), *words])
    common, everything, some = asked
    assert (len(common), common[0], common[-1]) == (15, "gaussian_noise", "jpeg_compression")
    assert everything == CORRUPTIONS
    assert some == ("fog", "speckle_noise", "gaussian_blur", "spatter", "saturate")
