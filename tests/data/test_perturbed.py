import numpy as np
import pytest
import torch

from rbench.catalog import bind
from rbench.corruptions.sequence_tables import PERTURBATIONS, frames
from rbench.corruptions.sequences import sequence, stream
from rbench.data import perturbed
from rbench.data.arrays import ArrayDataset
from rbench.data.digits import digits
from rbench.data.perturbed import generated
from rbench.errors import UsageError
from rbench.types import Call


def small(count=7, size=32):
    pixels = np.random.default_rng(0).integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    return ArrayDataset("small", 2, pixels, np.zeros(count, dtype=np.int64))


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_view_says_how_its_frames_are_compared(name):
    view = generated(small(), 0, perturbation=name)
    assert (view.groups, view.frames) == ((1,), frames(name, 32))
    assert view.against == ("first" if name.endswith("noise") else "previous")
    told = {"source": "generated", "generator": "hendrycks", "table": "32", "jpeg85": "no", "video": "no"}
    assert view.provenance == {**told, "perturbation": name}


@pytest.mark.parametrize(("name", "group"), [("shot_noise", 3), ("snow", 1), ("tilt", 1)])
def test_a_view_gives_the_sequences_of_the_samples_asked_for(name, group):
    data = small()
    view = generated(data, 5, perturbation=name, difficulties=(group,))
    samples = np.array([4, 0, 6])
    found = view.images(samples, group)
    rng = stream(5, name, group, torch.from_numpy(samples))
    expected = sequence(torch.from_numpy(data.images(samples)), name, rng, difficulty=group)
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected.numpy())
    assert np.array_equal(found[1:2], view.images(np.array([0]), group))


def test_frames_are_made_a_few_samples_at_a_time(monkeypatch):
    view = generated(small(), 0, perturbation="gaussian_noise")
    whole = view.images(np.arange(7), 1)
    counts = []

    def counted(x, *args, **kwargs):
        counts.append(len(x))
        return sequence(x, *args, **kwargs)

    monkeypatch.setattr(perturbed, "sequence", counted)
    monkeypatch.setattr(perturbed, "CHUNK", 3 * 31 * 3 * 32 * 32)
    assert np.array_equal(view.images(np.arange(7), 1), whole)
    assert counts == [3, 3, 1]


def test_no_more_floats_than_one_frame_of_a_chunk_needs():
    view = generated(small(64), 0, perturbation="gaussian_blur")
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            found = function(*args, **(kwargs or {}))
            if isinstance(found, torch.Tensor) and found.is_floating_point():
                largest = max(largest, found.numel())
            return found

    with Watch():
        view.images(np.arange(64), 1)
    assert 0 < largest <= 64 * 3 * 32 * 32


def test_the_digest_is_of_what_decides_the_frames():
    data = small()
    views = [
        generated(data, 0, perturbation="shot_noise"),
        generated(data, 0, perturbation="speckle_noise"),
        generated(data, 0, perturbation="shot_noise", difficulties=(1, 2)),
        generated(data, 0, perturbation="shot_noise", table=64),
    ]
    assert len({view.digest for view in views}) == 4
    assert generated(small(3), 9, perturbation="shot_noise").digest == views[0].digest
    assert all(len(view.digest) == 64 for view in views)


def test_what_differs_from_the_official_files_is_said():
    assert "deviation" in generated(small(1, 64), 0, perturbation="motion_blur").provenance
    assert "deviation" in generated(small(1, 64), 0, perturbation="rotate", table=299).provenance
    assert "deviation" not in generated(small(1, 64), 0, perturbation="rotate").provenance


def test_larger_images_are_cropped_to_the_table():
    view = generated(small(2, 40), 0, perturbation="rotate", table=32)
    assert view.images(np.arange(2), 1).shape == (2, 31, 3, 32, 32)


def test_what_there_is_not_is_refused():
    data = small()
    with pytest.raises(UsageError, match="Did you mean 'rotate'"):
        generated(data, 0, perturbation="rotat")
    with pytest.raises(UsageError, match="compare frames 2 apart"):
        generated(data, 0, perturbation="rotate", difficulties=(1, 2))
    with pytest.raises(UsageError, match="each once"):
        generated(data, 0, perturbation="shot_noise", difficulties=(2, 2))
    with pytest.raises(UsageError, match="no constants of sequences for 48 pixels"):
        generated(small(1, 48), 0, perturbation="rotate")
    with pytest.raises(UsageError, match="difficulty 2 is none of"):
        generated(data, 0, perturbation="rotate").images(np.arange(1), 2)


def test_a_suite_can_name_a_view():
    call = Call("rbench.data.perturbed:generated", {"perturbation": "shot_noise", "difficulties": [1, 3]})
    view = bind(call, given=("dataset", "seed"))(digits("test"), 0)
    assert view.groups == (1, 3)
    assert view.images(np.arange(2), 3).shape == (2, 31, 3, 32, 32)
