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

    frames: int

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

    Raises `MissingError` for a file that is broken or cut short, and `UsageError` without the extra `video`.
    """
    av = library()
    try:
        # Damage is an error and not something to paint over, as FFmpeg does unless it is told.
        with av.open(str(path), options={"err_detect": "explode"}) as container:
            stream = container.streams.video[0]
            stream.codec_context.options = {"err_detect": "explode"}
            stream.codec_context.thread_count = 1  # the videos are too small for more
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream) if _intact(frame)]
            promised = stream.frames
    except (OSError, ValueError, IndexError, av.error.FFmpegError) as error:
        raise MissingError(f"{path} is no intact video: {error}. Unpack it again.") from error
    if not frames or (promised and len(frames) != promised):
        raise MissingError(f"{path} is no intact video: {len(frames)} frames of {promised}. Unpack it again.")
    return np.stack(frames).transpose(0, 3, 1, 2)


def _intact(frame: Any) -> bool:
    if frame.is_corrupt:
        raise ValueError("a frame is damaged")
    return True


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
