import hashlib
import pickle
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbench.catalog import bind
from rbench.corruptions.tables import CORRUPTIONS
from rbench.data import npy_files
from rbench.data.arrays import ArrayDataset
from rbench.data.checksums import ARCHIVES, FILES
from rbench.data.cifar_c import cifar_c, cifar_p
from rbench.errors import MissingError, UsageError
from rbench.types import Call

N = 4
RNG = np.random.default_rng(0)
CLEAN = ArrayDataset("cifar10", 10, np.zeros((N, 3, 32, 32), np.uint8), np.array([3, 8, 8, 0]))
IMAGES = RNG.integers(0, 256, (5 * N, 32, 32, 3), dtype=np.uint8)
SEQUENCES = RNG.integers(0, 256, (N, 6, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """CIFAR-10-C with one corruption, of four images."""
    monkeypatch.setenv("RBENCH_DATA", str(tmp_path))
    found = tmp_path / "CIFAR-10-C"
    found.mkdir()
    np.save(found / "fog.npy", IMAGES)
    np.save(found / "labels.npy", np.tile(CLEAN.labels, 5).astype(np.uint8))
    return found


@pytest.fixture
def sequences(tmp_path, monkeypatch):
    """CIFAR-10-P with a noise at difficulties 1 and 2 and another perturbation, of six frames."""
    monkeypatch.setenv("RBENCH_DATA", str(tmp_path))
    found = tmp_path / "CIFAR-10-P"
    found.mkdir()
    for name, shift in [("shot_noise", 0), ("shot_noise_2", 1), ("rotate", 2)]:
        np.save(found / f"{name}.npy", SEQUENCES + np.uint8(shift))
    return found


def fog(**changes):
    return cifar_c(CLEAN, 0, corruption="fog", **changes)


def shot(**changes):
    return cifar_p(CLEAN, 0, perturbation="shot_noise", **changes)


def test_a_severity_is_a_fifth_of_the_file_in_the_order_of_the_test_set(folder):
    view = pickle.loads(pickle.dumps(fog()))  # noqa: S301 - its own
    assert (view.groups, view.frames, view.against) == ((1, 2, 3, 4, 5), 1, "previous")
    for severity in range(1, 6):
        found = view.images(np.array([2, 0, 2]), severity)
        assert (found.dtype, found.shape) == (np.uint8, (3, 1, 3, 32, 32))
        rows = IMAGES[[(severity - 1) * N + sample for sample in (2, 0, 2)]]
        assert np.array_equal(found[:, 0].transpose(0, 2, 3, 1), rows)


def test_a_sample_outside_the_test_set_is_not_one_of_the_next_severity(folder):
    with pytest.raises(IndexError):
        fog().images(np.array([N]), 1)


def test_only_the_severities_that_are_asked_for_are_groups(folder):
    call = Call("rbench.data.cifar_c:cifar_c", {"corruption": "fog", "severities": [5, 2]})
    view = bind(call, given=("dataset", "seed"))(CLEAN, 0)
    assert view.groups == (5, 2)
    assert np.array_equal(view.images(np.array([1]), 5)[0, 0].transpose(1, 2, 0), IMAGES[4 * N + 1])


@pytest.mark.parametrize("severities", [(), (0,), (6,), (1, 1)])
def test_severities_that_are_none_are_refused(folder, severities):
    with pytest.raises(UsageError, match=r"severities = .* must be some of 1, 2, 3, 4, 5, each once"):
        fog(severities=severities)


def test_the_file_is_never_read_as_a_whole(tmp_path, folder):
    n = 2000
    big = ArrayDataset("cifar10", 10, np.zeros((n, 3, 32, 32), np.uint8), np.arange(n) % 10)
    np.lib.format.open_memmap(folder / "fog.npy", mode="w+", dtype=np.uint8, shape=(5 * n, 32, 32, 3)).flush()
    np.save(folder / "labels.npy", np.tile(big.labels, 5))
    tracemalloc.start()
    view = cifar_c(big, 0, corruption="fog")
    assert view.images(np.array([7, n - 1]), 5).shape == (2, 1, 3, 32, 32)
    assert len(view.digest) == 64
    assert tracemalloc.get_traced_memory()[1] < 5_000_000  # the file has 30 MB
    tracemalloc.stop()


def test_the_digest_sees_every_byte_and_the_labels(folder):
    first, asked = fog().digest, fog(severities=(1, 2)).digest
    assert first == fog().digest
    changed = IMAGES.copy()
    changed[-1, -1, -1, -1] ^= 1
    np.save(folder / "fog.npy", changed)
    second = fog().digest
    other = ArrayDataset("cifar10", 10, CLEAN.pixels, CLEAN.labels[::-1])
    np.save(folder / "labels.npy", np.tile(other.labels, 5))
    third = cifar_c(other, 0, corruption="fog").digest
    assert len({first, asked, second, third}) == 4


def test_files_are_official_if_their_md5_is(folder, monkeypatch):
    assert dict(fog().provenance) == {"source": "files", "files": "CIFAR-10-C", "official": "no", "changed": "fog.npy"}
    md5 = hashlib.md5((folder / "fog.npy").read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(npy_files, "FILES", {"CIFAR-10-C": {"fog.npy": md5}})
    assert dict(fog().provenance) == {"source": "files", "files": "CIFAR-10-C", "official": "yes"}
    (folder / "fog.npy").rename(folder / "mist.npy")
    assert cifar_c(CLEAN, 0, corruption="mist").provenance["official"] == "unknown"


@pytest.mark.parametrize("name", ["cifar_10_c", "CIFAR10-C"])
def test_other_spellings_of_the_folder_are_found_unless_there_are_two(folder, name):
    folder.rename(folder.with_name(name))
    assert fog().provenance["official"] == "no"
    folder.with_name("Cifar-10-C").mkdir()
    with pytest.raises(MissingError, match=r"could both be CIFAR-10-C"):
        fog()


def saved(array, name="fog.npy"):
    return lambda folder: np.save(folder / name, array)


LABELS = np.tile(CLEAN.labels, 5)
DAMAGES = {
    "no file": (lambda f: (f / "fog.npy").unlink(), r"no .*fog\.npy\. Unpack CIFAR-10-C\.tar of .*2535967 \(md5 56bf5"),
    "no labels": (lambda f: (f / "labels.npy").unlink(), r"no .*labels\.npy\. Unpack"),
    "no folder": (lambda f: f.rename(f.with_name("else")), r"no CIFAR-10-C in .*2535967 \(md5 56bf5.*--data-dir"),
    "a folder": (lambda f: [(f / "fog.npy").unlink(), (f / "fog.npy").mkdir()], r"fog\.npy is no intact \.npy file"),
    "no npy": (lambda f: (f / "fog.npy").write_bytes(b"x" * 9999), r"fog\.npy is no intact \.npy file"),
    "pickled": (saved(np.array([{}] * 20)), r"fog\.npy is no intact \.npy file"),
    "floats": (saved(IMAGES / 255), r"fog\.npy has float64 \[20, 32, 32, 3\], not uint8 \[20, 32, 32, 3\]"),
    "one severity": (saved(IMAGES[:N]), r"fog\.npy has uint8 \[4, 32, 32, 3\], not uint8 \[20, 32, 32, 3\]"),
    "channels first": (saved(IMAGES.transpose(0, 3, 1, 2)), r"has uint8 \[20, 3, 32, 32\], not"),
    "flat": (saved(IMAGES.reshape(20, -1)), r"has uint8 \[20, 3072\], not"),
    "other labels": (saved((LABELS + 1) % 10, "labels.npy"), r"labels\.npy.* is not the 4 labels of cifar10 five"),
    "short labels": (saved(LABELS[:N], "labels.npy"), r"labels\.npy, int64 \[4\], is not the 4 labels"),
    "last label": (saved([*LABELS[:-1], 9], "labels.npy"), r"labels\.npy.* is not the 4 labels of cifar10 five"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_missing_or_damaged_is_named_with_the_remedy(folder, damage):
    break_it, sentence = DAMAGES[damage]
    break_it(folder)
    with pytest.raises(MissingError, match=sentence):
        fog()


@pytest.mark.parametrize("kept", [0, 5, 6, 9, 60, 128, 5000, -1])
def test_a_file_that_is_cut_short_anywhere_is_refused(folder, kept):
    path = folder / "fog.npy"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(MissingError, match=r"fog\.npy is no intact \.npy file: .*Unpack CIFAR-10-C"):
        fog()


@given(place=st.integers(0, 127), byte=st.integers(0, 255))
def test_a_damaged_header_is_a_missing_file_or_makes_no_difference(tmp_path_factory, place, byte):
    path = tmp_path_factory.mktemp("header") / "fog.npy"
    np.save(path, IMAGES)
    content = bytearray(path.read_bytes())
    content[place] = byte
    path.write_bytes(content)
    try:
        shape = npy_files.shape_of(path, IMAGES.shape, "Unpack it again")
    except MissingError as error:
        assert str(path) in str(error)  # noqa: PT017 - most bytes, but not all, are refused
    else:
        assert shape == IMAGES.shape


def test_sequences_are_rows_and_difficulties_of_noises_are_files(sequences):
    view = pickle.loads(pickle.dumps(shot(difficulties=(1, 2))))  # noqa: S301
    assert (view.groups, view.frames, view.against) == ((1, 2), 6, "first")
    for difficulty in (1, 2):
        found = view.images(np.array([3, 1]), difficulty)
        assert (found.dtype, found.shape) == (np.uint8, (2, 6, 3, 32, 32))
        rows = (SEQUENCES + np.uint8(difficulty - 1))[[3, 1]]
        assert np.array_equal(found.transpose(0, 1, 3, 4, 2), rows)
    assert view.provenance == {"source": "files", "files": "CIFAR-10-P", "official": "unknown"}
    assert cifar_p(CLEAN, 0, perturbation="rotate").against == "previous"


def test_the_digest_of_sequences_sees_all_files(sequences):
    first = shot(difficulties=(1, 2)).digest
    changed = SEQUENCES.copy()
    changed[0, 0, 0, 0, 0] ^= 1
    np.save(sequences / "shot_noise_2.npy", changed)
    assert len({first, shot(difficulties=(1, 2)).digest, shot().digest}) == 3


P_DAMAGES = {
    "no difficulty": (lambda f: (f / "shot_noise_2.npy").unlink(), r"no .*shot_noise_2\.npy\. Unpack CIFAR-10-P of"),
    "fewer frames": (saved(SEQUENCES[:, :5], "shot_noise_2.npy"), r"shot_noise in sequences of \[5, 6\] frames"),
    "fewer samples": (
        saved(SEQUENCES[1:], "shot_noise.npy"),
        r"has uint8 \[3, 6, 32, .*, not uint8 \[4, frames, 32",
    ),
    "images": (saved(IMAGES, "shot_noise.npy"), r"shot_noise\.npy has uint8 \[20, 32, 32, 3\], not"),
    "floats": (saved(SEQUENCES / 255, "shot_noise.npy"), r"shot_noise\.npy has float64"),
    "cut": (lambda f: (f / "shot_noise.npy").write_bytes(b"\x93NUMPY"), r"shot_noise\.npy is no intact \.npy file"),
    "no folder": (lambda f: f.rename(f.with_name("else")), r"no CIFAR-10-P in .*Unpack CIFAR-10-P of the Google Drive"),
}


@pytest.mark.parametrize("damage", P_DAMAGES)
def test_what_is_missing_of_sequences_is_named_with_the_remedy(sequences, damage):
    break_it, sentence = P_DAMAGES[damage]
    break_it(sequences)
    with pytest.raises(MissingError, match=sentence):
        shot(difficulties=(1, 2))


def test_a_sequence_of_one_frame_is_none(sequences):
    np.save(sequences / "shot_noise.npy", SEQUENCES[:, :1])
    with pytest.raises(MissingError, match=r"sequences of \[1\] frames"):
        shot()


def test_only_noises_have_files_of_other_difficulties(sequences):
    with pytest.raises(UsageError, match=r"difficulties = \[2\] of 'rotate': only noises .* have files"):
        cifar_p(CLEAN, 0, perturbation="rotate", difficulties=(2,))
    with pytest.raises(UsageError, match=r"difficulties = \[4\] must be some of 1, 2, 3"):
        shot(difficulties=(4,))


@pytest.mark.parametrize("folder", FILES)
def test_the_published_digests_are_those_of_19_corruptions_and_the_labels(folder):
    assert {f"{name}.npy" for name in (*CORRUPTIONS, "labels")} == set(FILES[folder])
    assert all(re.fullmatch(r"[0-9a-f]{32}", md5) for md5 in FILES[folder].values())
    assert len(set(FILES["CIFAR-10-C"].values()) | set(FILES["CIFAR-100-C"].values())) == 40


def test_every_corruption_of_imagenet_c_is_in_one_archive():
    archives = ARCHIVES["ImageNet-C"]
    assert sorted(name for archive in archives for name in archive.holds) == sorted(CORRUPTIONS)
    assert len({archive.md5 for archive in archives}) == 5
