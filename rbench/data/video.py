"""Videos as arrays of their frames; the one place that knows the library that decodes them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rbench.data.image_files import ImageFiles
from rbench.errors import MissingError, UsageError


@dataclass(frozen=True)
class VideoFiles(ImageFiles):
    """Labelled videos of `frames` frames, decoded on demand to uint8 [n, frames, 3, size, size], never scaled."""

    frames: int = 0

    def _decode(self, path: Path) -> npt.NDArray[np.uint8]:
        video = decode(path)
        if len(video) != self.frames:
            raise MissingError(f"{path} has {len(video)} frames, not {self.frames} as others. Unpack it again.")
        height, width = video.shape[-2:]
        if (height, width) != (self.transform.size, self.transform.size):
            wanted = f"{self.transform.size} x {self.transform.size}"
            raise MissingError(f"{path} has {width} x {height} pixels, not {wanted}. Unpack it again.")
        return video


def decode(path: Path) -> npt.NDArray[np.uint8]:
    """The frames of a video, uint8 [frames, 3, H, W], as OpenCV decodes them, which the authors used.

    Raises `MissingError` for a file that is cut short, or that the decoder finds damaged (it cannot see all damage),
    and `UsageError` without the extra `video`.
    """
    av = library()
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1  # the videos are too small for more
            return np.stack([_pixels(frame) for frame in container.decode(stream)]).transpose(0, 3, 1, 2)
    except Exception as error:  # a broken file fails in many ways, also inside PyAV
        raise MissingError(f"{path} is no intact video: {error}. Unpack it again.") from error


def _pixels(frame: Any) -> npt.NDArray[np.uint8]:
    """The pixels [H, W, 3]; raises `ValueError` for a frame whose damage FFmpeg has painted over."""
    if frame.is_corrupt:
        raise ValueError("a frame is damaged")
    return np.asarray(frame.to_ndarray(format="rgb24"))


def library() -> Any:
    """PyAV; raises `UsageError` with the command that installs it."""
    try:
        import av
    except ImportError as error:
        raise UsageError(
            f"ImageNet-P is made of videos, and PyAV, which decodes them, cannot be imported ({error}). "
            f"Install it: pip install 'rbench[video]'."
        ) from error
    return av
