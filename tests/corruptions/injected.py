"""Our random numbers given to the package imagecorruptions, so that both make the same image."""

from collections.abc import Iterator

import numpy as np
import torch

from rbench.backends import imagecorruptions
from rbench.corruptions.corrupt import stream
from rbench.corruptions.generators import Generator


class Recorder:
    """Passes requests on to a stream and keeps what was asked and answered."""

    def __init__(self, stream):
        self.stream, self.log = stream, []

    def _kept(self, kind, answer, low=0.0, high=1.0):
        self.log.append((kind, low, high, answer))
        return answer

    def normal(self, shape):
        return self._kept("normal", self.stream.normal(shape))

    def uniform(self, shape, low=0.0, high=1.0):
        return self._kept("uniform", self.stream.uniform(shape, low, high), low, high)

    def integers(self, shape, low, high):
        return self._kept("integers", self.stream.integers(shape, low, high), low, high)

    def poisson(self, x, scale):
        return self._kept("poisson", self.stream.poisson(x, scale))


class Answers:
    """The answers of one image of a batch, in the forms in which the package asks for them."""

    def __init__(self, log, image):
        self.log = iter([(kind, low, high, answer[image].double().numpy()) for kind, low, high, answer in log])
        self.moves: Iterator = iter(())

    def _next(self, wanted):
        kind, low, high, answer = next(self.log)
        assert kind == wanted
        answer = answer.transpose(1, 2, 0) if answer.ndim == 3 else answer
        return low, high, answer

    def normal(self, loc=0.0, scale=1.0, size=None):
        return loc + scale * self._next("normal")[2].reshape(size)

    def uniform(self, low=0.0, high=1.0, size=None):
        first, last, answer = self._next("uniform")
        scaled = low + (answer - first) / (last - first) * (high - low)
        return float(scaled) if size is None else scaled.reshape(size)

    def poisson(self, lam):
        return self._next("poisson")[2].reshape(lam.shape)

    def noise(self, image, mode, amount):
        assert mode == "s&p"
        u = self._next("uniform")[2].reshape(image.shape)
        return np.where(u < amount / 2, 1.0, np.where(u < amount, 0.0, image))

    def integers(self, low, high=None, size=None):
        if size == (2,):  # glass blur asks pixel by pixel, from the channels_last to the first
            return next(self.moves, None) or self._glass()
        kind, first, last, answer = next(self.log)
        low, high = (0, low) if high is None else (low, high)
        if kind == "uniform":  # a place in what is left of a picture, of whatever size
            return int(low + (float(answer) - first) / (last - first) * (high - low))
        assert (first, last) == (low, high)
        return int(answer)

    def _glass(self):
        _, _, _, moves = next(self.log)
        self.moves = iter(
            [(int(dx), int(dy)) for turn in moves for dx, dy in turn[:, ::-1, ::-1].reshape(2, -1).T.tolist()]
        )
        return next(self.moves)


def pair(images, corruption, severity, seed=0):
    """What both make of images uint8 [B, 3, H, W]: ours and theirs, uint8 arrays of that shape."""
    rng = Recorder(stream(seed, corruption, severity, torch.arange(len(images))))
    ours = Generator("imagecorruptions")(torch.from_numpy(images), corruption, severity, rng).numpy()
    theirs = []
    for number, image in enumerate(images):
        told = Answers(rng.log, number)
        with imagecorruptions.answering(told.normal, told.uniform, told.integers, told.poisson, told.noise):
            theirs.append(
                imagecorruptions.corrupt(np.ascontiguousarray(image.transpose(1, 2, 0)), corruption, severity)
            )
    return ours, np.stack(theirs).transpose(0, 3, 1, 2)


def photographs(size, count):
    """Square crops of scikit-learn's two photographs, scaled to `size` pixels, uint8 [count, 3, size, size]."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    crops = []
    for number in range(count):
        photo = load_sample_images().images[number % 2]
        left = 40 * (number // 2) % (photo.shape[1] - photo.shape[0] + 1)
        crop = Image.fromarray(photo[:, left : left + photo.shape[0]])
        crops.append(np.asarray(crop.resize((size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1))
    return np.stack(crops)
