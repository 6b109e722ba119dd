import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from rbench.data import folders
from rbench.data import imagenet_p as module
from rbench.data.image_files import ImageFiles, Square
from rbench.data.imagenet_p import imagenet_p
from rbench.data.video import decode
from rbench.errors import MissingError, UsageError

WNIDS = ("n01440764", "n02100735")
SAMPLES = [(1, 12), (0, 7), (1, 3)]  # in another order than the folders have
SIZE, FRAMES = 32, 5


def stem(number):
    return f"ILSVRC2012_val_{number:08d}"


def write(path, frames=FRAMES, size=SIZE, pixels="yuv444p", fast=False):
    """Write a video of noise that follows from its path, in the format of the authors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list("/".join(path.parts[-3:]).encode()))
    images = rng.integers(0, 256, (frames, size // 4, size // 4, 3), dtype=np.uint8).repeat(4, 1).repeat(4, 2)
    av = pytest.importorskip("av")
    options = {"movflags": "faststart"} if fast else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=1)
        stream.width = stream.height = size
        stream.pix_fmt, stream.options = pixels, {"crf": "20", "threads": "1"}
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return images.transpose(0, 3, 1, 2)


def cells(root, writer=write):
    for name in ("shot_noise", "shot_noise_3", "rotate"):
        for label, number in SAMPLES:
            writer(root / name / WNIDS[label] / f"{stem(number)}.mp4")


@pytest.fixture
def clean():
    files = tuple(Path("val") / f"{stem(number)}.JPEG" for _, number in SAMPLES)
    return ImageFiles("imagenet", 2, files, np.array([label for label, _ in SAMPLES]), Square(SIZE))


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("RBENCH_DATA", str(tmp_path))
    folders._listed.cache_clear()
    return tmp_path / "ImageNet-P"


@pytest.fixture
def root(data):
    """ImageNet-P with a noise at difficulties 1 and 3 and another perturbation; needs PyAV."""
    pytest.importorskip("av")
    cells(data)
    return data


@pytest.fixture
def names(data, monkeypatch):
    """The same folders with empty files, of which only the names matter."""

    def touch(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    cells(data, touch)
    monkeypatch.setattr(module, "decode", lambda path: np.zeros((FRAMES, 3, SIZE, SIZE), np.uint8))
    return data


def shot(clean, **changes):
    return imagenet_p(clean, 0, **{"perturbation": "shot_noise", "difficulties": (1, 3), "size": SIZE, **changes})


def video(root):
    return root / "shot_noise_3" / WNIDS[1] / f"{stem(3)}.mp4"


def test_videos_are_joined_to_the_samples_and_difficulties_of_noises_are_folders(clean, names):
    view = pickle.loads(pickle.dumps(shot(clean)))  # noqa: S301 - its own
    assert (view.groups, view.frames, view.against) == ((1, 3), FRAMES, "first")
    for difficulty, folder in [(1, "shot_noise"), (3, "shot_noise_3")]:
        assert view.cells[difficulty] == names / folder
        assert view.names[difficulty] == tuple(f"{WNIDS[label]}/{stem(number)}.mp4" for label, number in SAMPLES)
    assert imagenet_p(clean, 0, perturbation="rotate").against == "previous"
    wanted = {"source": "files", "files": "ImageNet-P", "official": "unknown", "transform": "none", "decoder": "PyAV"}
    assert view.provenance == wanted


def test_the_digest_sees_names_sizes_contents_and_difficulties(clean, names):
    digests = [shot(clean).digest, shot(clean, difficulties=(1,)).digest, shot(clean, size=64).digest]
    video(names).write_bytes(b"x")
    digests.append(shot(clean).digest)
    video(names).write_bytes(b"y")
    digests.append(shot(clean).digest)
    assert len(set(digests)) == 5
    assert shot(clean).digest == digests[-1]


@pytest.mark.parametrize("group", ["noise", "blur", "weather", "digital", "extra"])
def test_folders_of_archives_may_be_kept(clean, names, group):
    before = shot(clean).digest
    (names / group).mkdir()
    shutil.move(names / "shot_noise_3", names / group / "shot_noise_3")
    assert shot(clean).digest == before
    shutil.copytree(names / group / "shot_noise_3", names / "shot_noise_3")
    with pytest.raises(MissingError, match=r"shot_noise_3 and .*shot_noise_3 are the same perturbation\. Remove one"):
        shot(clean)


def test_only_noises_have_folders_of_other_difficulties(clean, names):
    with pytest.raises(UsageError, match=r"difficulties = \[1, 2\] of 'rotate': only noises .* have files for each"):
        shot(clean, perturbation="rotate", difficulties=(1, 2))
    with pytest.raises(UsageError, match=r"difficulties = \[\] must be some of 1, 2, 3"):
        shot(clean, difficulties=())


NAME_DAMAGES = {
    "no folder": (shutil.rmtree, r"no ImageNet-P in .*zenodo\.org/records/3565846.*--data-dir or \$RBENCH_DATA"),
    "no difficulties": (
        lambda r: [shutil.rmtree(r / "shot_noise"), shutil.rmtree(r / "shot_noise_3")],
        r"has no shot_noise, shot_noise_3\. Unpack .*3565846",
    ),
    "lost video": (lambda r: video(r).unlink(), r"shot_noise_3 lacks 1 of the 3 .*n02100735/ILSVRC2012_val_00000003\."),
    "extra video": (lambda r: video(r).with_stem("x").touch(), r"shot_noise_3 has 1 files more than the 3 of imagenet"),
    "extra class": (
        lambda r: (r / "shot_noise_3/n99999999").mkdir(),
        r"shot_noise_3 holds folders of 3 classes, not 2",
    ),
    "frames": (lambda r: [p.rename(p.with_suffix(".png")) for p in r.rglob("*.mp4")], r"shot_noise lacks 3 of the 3"),
    "empty": (lambda r: [shutil.rmtree(r / "shot_noise"), (r / "shot_noise").mkdir()], r"holds folders of 0 classes"),
}


@pytest.mark.parametrize("damage", NAME_DAMAGES)
def test_what_is_missing_or_too_much_is_named_with_the_remedy(clean, names, damage):
    break_it, sentence = NAME_DAMAGES[damage]
    break_it(names)
    with pytest.raises(MissingError, match=sentence):
        shot(clean)


def test_a_video_of_one_frame_is_no_sequence(clean, names, monkeypatch):
    monkeypatch.setattr(module, "decode", lambda path: np.zeros((1, 3, SIZE, SIZE), np.uint8))
    with pytest.raises(MissingError, match=r"n02100735/ILSVRC2012_val_00000012\.mp4 has a single frame"):
        shot(clean)


def test_without_the_extra_the_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match=r"PyAV, which decodes them, .* Install it: pip install 'rbench\[video\]'"):
        decode(tmp_path / "x.mp4")


def test_frames_are_what_was_written_but_for_the_losses_of_the_codec(clean, root):
    view = shot(clean)
    found = view.images(np.array([2, 0]), 3)
    assert (found.dtype, found.shape) == (np.uint8, (2, FRAMES, 3, SIZE, SIZE))
    for sequence, sample in zip(found, (2, 0), strict=True):
        label, number = SAMPLES[sample]
        wanted = write(root / "shot_noise_3" / WNIDS[label] / f"{stem(number)}.mp4")
        assert np.abs(sequence.astype(int) - wanted).mean() < 4
        assert np.abs(sequence.astype(int) - wanted[::-1]).mean() > 40  # in this order only


@pytest.mark.parametrize("pixels", ["yuv444p", "yuv420p"])
def test_frames_are_those_of_opencv_which_the_authors_used(tmp_path, pixels):
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "x.mp4"
    write(path, pixels=pixels)
    capture, wanted = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        wanted.append(read[1][..., ::-1].transpose(2, 0, 1))
    assert np.array_equal(decode(path), np.stack(wanted))


def test_videos_of_other_lengths_or_sizes_are_refused(clean, root):
    write(video(root), frames=FRAMES - 1)
    with pytest.raises(MissingError, match=rf"{stem(3)}\.mp4 has 4 frames, not 5 as others"):
        shot(clean).images(np.array([2]), 3)
    write(video(root), size=48)
    with pytest.raises(MissingError, match=rf"{stem(3)}\.mp4 has 48 x 48 pixels, not 32 x 32"):
        shot(clean).images(np.array([2]), 3)


@pytest.mark.parametrize("fast", [False, True])
def test_a_video_that_is_cut_short_is_named(clean, root, fast):
    write(video(root), fast=fast)
    content, view = video(root).read_bytes(), shot(clean)
    whole = view.images(np.array([2]), 3)
    intact = []
    for kept in range(0, len(content), 37):
        video(root).write_bytes(content[:kept])
        try:
            assert np.array_equal(view.images(np.array([2]), 3), whole)  # only a comment at the end was lost
            intact.append(kept)
        except MissingError as error:
            assert f"shot_noise_3/n02100735/{stem(3)}.mp4 is no intact video" in str(error)  # noqa: PT017
    assert not intact or min(intact) > 0.95 * len(content)


def test_damage_that_the_decoder_would_paint_over_is_an_error(clean, root):
    """FFmpeg notices about half of all single bytes that are wrong, and delivers frames nevertheless."""
    write(video(root), frames=20)
    content, refused = video(root).read_bytes(), 0
    for place in np.linspace(0.3, 0.7, 20):
        damaged = bytearray(content)
        damaged[int(place * len(content))] ^= 0xFF
        video(root).write_bytes(damaged)
        try:
            decode(video(root))
        except MissingError as error:
            refused += f"{stem(3)}.mp4 is no intact video: a frame is damaged" in str(error)
    assert refused >= 4


def test_what_is_no_video_is_named(clean, root):
    video(root).write_bytes(b"no video" * 100)
    with pytest.raises(MissingError, match=rf"{stem(3)}\.mp4 is no intact video"):
        shot(clean).images(np.array([2]), 3)
    shutil.copy(Path(__file__), video(root))
    with pytest.raises(MissingError, match=rf"{stem(3)}\.mp4 is no intact video"):
        shot(clean).images(np.array([2]), 3)
