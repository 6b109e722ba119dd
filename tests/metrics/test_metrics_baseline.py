import hashlib
from pathlib import Path

import numpy as np
import pytest
from grids import clean, counted, sequences, stills

from rbench.errors import MissingError, UsageError
from rbench.metrics import Baseline

SHELF = Path(__file__).parents[2] / "suites" / "baselines"
# AlexNet's mean errors as AugMix's program lists them, gaussian_noise to jpeg_compression.
AUGMIX = {
    "gaussian_noise": 0.886428, "shot_noise": 0.894468, "impulse_noise": 0.922640, "defocus_blur": 0.819880,
    "glass_blur": 0.826268, "motion_blur": 0.785948, "zoom_blur": 0.798360, "snow": 0.866816, "frost": 0.826572,
    "fog": 0.819324, "brightness": 0.564592, "contrast": 0.853204, "elastic_transform": 0.646056,
    "pixelate": 0.717840, "jpeg_compression": 0.606500,
}  # fmt: skip


def test_alexnets_errors_by_severity_have_the_means_that_others_print():
    baseline = Baseline.from_toml(SHELF / "alexnet.toml")
    assert {name: round(baseline.error[name], 9) for name in AUGMIX} == AUGMIX
    assert set(baseline.error) - set(AUGMIX) == {"clean", "speckle_noise", "gaussian_blur", "spatter", "saturate"}
    assert set(baseline.flip) == set(baseline.t5d)
    assert len(baseline.flip) == 14
    assert baseline.digest == hashlib.sha256((SHELF / "alexnet.toml").read_bytes()).hexdigest()


def test_robustbenchs_alexnet_has_the_accuracy_of_its_leaderboards():
    errors = Baseline.from_toml(SHELF / "alexnet-robustbench.toml").error
    own = [errors[name] for name in AUGMIX]
    others = [value for name, value in errors.items() if name not in AUGMIX]
    assert 1 - np.mean(own) == pytest.approx(0.21118, abs=5e-6)
    assert (len(others), 1 - np.mean(others)) == (12, pytest.approx(0.28468, abs=5e-6))


def test_a_list_is_averaged_over_the_severities(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text("severities = [1, 3]\ndifficulty = 2\n[error]\nfog = [0.2, 0.4]\nsnow = 1\n[flip]\ntilt = 0.5\n")
    baseline = Baseline.from_toml(path)
    assert baseline.error == {"fog": pytest.approx(0.3), "snow": 1}
    assert baseline.severities == {"fog": (1, 3), "snow": (1, 3)}
    assert (baseline.name, baseline.flip, baseline.difficulty) == ("own", {"tilt": 0.5}, 2)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[error]\nfog = 78.8", r"own.toml: error.fog = 78.8 must be the error in \[0, 1\], not in percent"),
        ("[error]\nfog = [0.2, 0.4, 0.5, 0.6, -0.1]", "error.fog = -0.1 must be"),
        ("[error]\nfog = [0.2, 0.4]", "error.fog lists 2 of 5 severities"),
        ("[flip]\ntilt = nan", "flip.tilt = nan must be the flip probability"),
        ("[t5d]\ntilt = 19", r"t5d.tilt = 19.0 must be the top-5 distance in \[0, 18\]"),
        ("[zipf]\ntilt = 2.4", r"zipf.tilt = 2.4 must be the Zipf distance in \[0, 2.326\]"),
        ("[errors]\nfog = 0.5", "own.toml: no key named 'errors'.*Did you mean 'error'"),
        ("[error]\nfog = 'high'", "own.toml: error.fog"),
    ],
)
def test_what_is_no_value_is_refused_with_its_place(tmp_path, text, complaint):
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=complaint):
        Baseline.from_toml(path)


def test_a_file_that_is_not_there_is_missing(tmp_path):
    with pytest.raises(MissingError, match=r"none\.toml"):
        Baseline.from_toml(tmp_path / "none.toml")


def test_a_model_that_was_run_gives_errors_of_images_and_flips_of_sequences():
    lists = np.argsort(np.random.default_rng(0).normal(size=(2, 3, 8)), -1)
    evidence = {
        "clean": clean([0, 0, 0, 1]),
        "fog": counted([0.25, 0.5, 1.0], 4, 3),
        "tilt": sequences([[0, 1, 1], [0, 0, 0]]),
        "noise": sequences([[0, 1, 1], [0, 0, 0]], top=lists[..., :5], zipf=np.full((2, 3), 0.5)),
    }
    baseline = Baseline.from_outcomes("net", "abc", evidence, ("noise",))
    assert (baseline.name, baseline.digest) == ("net", "abc")
    assert baseline.error == {"clean": 0.25, "fog": pytest.approx(7 / 12)}
    assert baseline.severities == {"clean": (0,), "fog": (1, 2, 3)}
    assert baseline.flip == {"tilt": 1 / 4, "noise": 2 / 4}
    assert set(baseline.t5d) == {"noise"}
    assert baseline.zipf == {"noise": 0.5}


def test_of_a_harder_run_frames_farther_apart_are_compared():
    evidence = {"tilt": sequences([[0, 1, 0, 1]]), "noise": sequences([[0, 1, 0, 1]], group=2)}
    baseline = Baseline.from_outcomes("net", "abc", evidence, ("noise",), difficulty=2)
    assert baseline.flip == {"tilt": 0, "noise": 2 / 3}
    assert baseline.difficulty == 2


def test_a_run_with_missing_rows_is_no_baseline():
    wrong = stills([[0, 1], [1, 1]])
    broken = type(wrong)(**{**vars(wrong), "sample": np.array([0, 0, 0, 1])})
    with pytest.raises(ValueError, match="'fog' does not hold every image exactly once"):
        Baseline.from_outcomes("net", "abc", {"fog": broken})
