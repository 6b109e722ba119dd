"""`rbench.corrupt`: what it takes for an image, a seed, a number or a severity, and what it refuses."""

import numpy as np
import pytest
import torch

import rbench
from rbench.errors import UsageError
from rbench.making.preview import preview
from rbench.making.run import make
from rbench.rng import checked_seed

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)


def noisy(images=IMAGES, corruption="gaussian_noise", **changes):
    return rbench.corrupt(images, corruption, **{"severity": 3, **changes})


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"severity": 3.0}, r"severity = 3\.0 must be one of"),
        ({"severity": True}, "severity = True must be one of"),
        ({"severity": "3"}, "severity = '3' must be one of"),
        ({"severity": None}, "severity = None must be one of"),
        ({"severity": [3]}, r"severity = \[3\] must be one of"),
        ({"corruption": None}, "corruption = None must be a name"),
        ({"corruption": ["fog"]}, r"corruption = \['fog'\] must be a name"),
        ({"generator": None}, "generator = None must be a name"),
        ({"table": "32"}, "table = '32' must be None or a number"),
        ({"table": [32]}, r"table = \[32\] must be None or a number"),
        ({"samples": [0.7, 1]}, r"samples = \[0\.7, 1\] must be integers from 0 on"),
        ({"samples": [0.0, 1.0]}, "must be integers from 0 on"),
        ({"samples": [0, -1]}, "must be integers from 0 on"),
        ({"samples": [True, False]}, "must be integers from 0 on"),
        ({"samples": ["a", "b"]}, "must be integers from 0 on"),
        ({"samples": [0, 2**70]}, "must be integers from 0 on"),
        ({"samples": [0, 2**63]}, "must be integers from 0 on"),
        ({"samples": [[0], [1]]}, "must be integers from 0 on"),
        ({"samples": [[0], [1, 2]]}, "must be integers from 0 on"),
        ({"samples": 7}, "must be integers from 0 on"),
        ({"samples": torch.tensor([0.5, 1.5])}, "must be integers from 0 on"),
        ({"samples": torch.ones(2, dtype=torch.bfloat16)}, "must be integers from 0 on"),
        ({"samples": []}, "0 numbers for 2 images"),
        ({"samples": torch.arange(3)}, "3 numbers for 2 images"),
        ({"images": None}, "images are object"),
        ({"images": IMAGES.astype(str)}, "images are <U"),
        ({"images": IMAGES.astype(">f4")}, "images are >f4"),
    ],
)
def test_mistakes_are_sentences(changes, complaint):
    with pytest.raises(UsageError, match=complaint):
        noisy(**changes)


@pytest.mark.parametrize("seed", [-1, 2**31, True, 1.0, "1", None])
def test_a_seed_is_an_integer_of_31_bits_wherever_it_is_given(seed, tmp_path):
    calls = (
        lambda: checked_seed(seed),
        lambda: noisy(seed=seed),
        lambda: make("digits", tmp_path / "out", corruptions=("brightness",), limit=1, seed=seed),
        lambda: preview(tmp_path / "a.png", corruptions=("brightness",), severities=(1,), seed=seed),
    )
    for call in calls:
        with pytest.raises(UsageError, match=r"seed = .* must lie in 0\.\.2\^31 - 1 and be an integer"):
            call()
    assert not list(tmp_path.iterdir())


def test_numpy_integers_are_integers():
    plain = noisy(seed=2**31 - 1, samples=[5, 2**40])
    samples = np.array([5, 2**40], dtype=np.uint64)
    assert (noisy(seed=np.int64(2**31 - 1), severity=np.int8(3), samples=samples) == plain).all()
    assert (noisy(seed=2**31 - 1, samples=torch.tensor([5, 2**40])) == plain).all()
    assert (noisy(seed=2**31 - 1, samples=(5, 2**40), table=np.int64(32)) == plain).all()
    assert (noisy(seed=2**31 - 1, samples=[5, 6])[1] != plain[1]).any()


def test_images_and_numbers_that_may_not_be_written_are_read(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    numbers = np.arange(2)
    numbers.flags.writeable = False
    assert (noisy(mapped, samples=numbers) == noisy()).all()  # warnings are errors here
    assert (noisy(mapped[::-1], samples=[1, 0])[::-1] == noisy()).all()


def test_what_is_given_stays_as_it_is():
    images = IMAGES.copy()
    for corruption in ("gaussian_noise", "pixelate", "brightness"):
        noisy(images, corruption)
    assert (images == IMAGES).all()
