"""ImageNet-C for many models on many GPUs, on paper: python tests/benchmarks/imagenet_c.py [--gpus N] [--models N] ...

Forwards come from the suite, as `rbench plan` counts them. Decoding is measured here: the engine's own reader on
JPEG files of 224 pixels, crops of photographs (scikit-learn's) under each of the 15 corruptions, in seconds of one
core, from files that the system has in memory. What a GPU does a second is an assumption, to be replaced by what
`rbench plan --time` says there: 1,000 forwards of a ResNet-50, of 4.09 billion multiply-adds each (torchvision's
documentation), are 8.2 TFLOP a second.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from rbench.catalog import Catalog
from rbench.corruptions.corrupt import corrupt
from rbench.costs.paper import cost
from rbench.data.image_files import ImageFiles, Square

IMAGES, CLASSES, SIDE, QUALITY = 50_000, 1000, 224, 85


@dataclass(frozen=True)
class Severities:
    """What a corruption's view says of itself."""

    groups: tuple[int, ...]
    frames: int = 1


def corruptions(suite):
    """The probes of a suite that are corruptions."""
    return [probe for probe in suite.probes if probe.data is not None]


def forwards(suite):
    """The forwards of one model by all probes of a suite, on all images."""
    found = 0
    for probe in suite.probes:
        view = Severities(tuple(probe.data.args["severities"])) if probe.data is not None else None
        found += cost(probe, CLASSES, draws=suite.draws, view=view).forwards(IMAGES)
    return found


def files(folder, suite, each):
    """Write `each` crops of photographs under every corruption, at severity 3."""
    rng = np.random.default_rng(0)
    photographs = load_sample_images().images
    paths = []
    for probe in corruptions(suite):
        for index in range(each):
            photograph = photographs[index % len(photographs)]
            top, left = (int(rng.integers(size - SIDE + 1)) for size in photograph.shape[:2])
            crop = torch.from_numpy(photograph[top : top + SIDE, left : left + SIDE].transpose(2, 0, 1).copy())[None]
            pixels = corrupt(crop, probe.data.args["corruption"], severity=3, seed=index)[0]
            paths.append(folder / f"{probe.name}-{index}.jpg")
            Image.fromarray(np.asarray(pixels).transpose(1, 2, 0)).save(paths[-1], quality=QUALITY)
    return tuple(paths)


def decoding(paths, rounds):
    """The seconds an image of each round over all files: read, decoded, stacked, made float32."""
    data = ImageFiles("crops", CLASSES, paths, np.zeros(len(paths), dtype=np.int64), Square(SIDE))
    times = []
    for _ in range(rounds + 1):  # the first one warms up
        started = time.process_time()  # which a busy machine stretches least
        torch.from_numpy(data.images(np.arange(len(paths)))).float() / 255
        times.append((time.process_time() - started) / len(paths))
    return times[1:]


def pace(seconds, rate, workers):
    """The seconds an image of a GPU that workers share, each of which decodes and then asks."""
    return max(1 / rate, (seconds + 1 / rate) / workers)


def main():
    """Print counts, what is measured, what is assumed, and hours by the number of workers a GPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--gpus", type=int, default=64)
    parser.add_argument("--forwards-per-second", type=float, default=1000, help="of one GPU, in float32 without TF32")
    parser.add_argument("--ms", type=float, default=None, help="ms to read and decode an image on one core; measured")
    parser.add_argument("--files", type=int, default=8, help="files of each corruption that are decoded")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    suite = Catalog.find().suite("imagenet-c")
    total = chosen.models * forwards(suite)
    print(f"{chosen.models} models x {forwards(suite):,} forwards = {total:,}")
    seconds = chosen.ms and chosen.ms / 1e3
    if seconds is None:
        with tempfile.TemporaryDirectory() as folder:
            paths = files(Path(folder), suite, chosen.files)
            size = np.mean([path.stat().st_size for path in paths]) / 1024
            times = decoding(paths, chosen.rounds)
        seconds = float(np.median(times))
        spread = f"{1e3 * min(times):.2f} to {1e3 * max(times):.2f} in {chosen.rounds} rounds"
        print(f"measured: {1e3 * seconds:.2f} ms an image of {size:.0f} KiB on one core ({spread})")
    rate = chosen.forwards_per_second
    print(f"assumed: {chosen.gpus} GPUs of {rate:,.0f} forwards a second, a core for each worker, files at hand")
    for workers in (1, 2, 4, 8, 16):
        each = pace(seconds, rate, workers)
        hours = total * each / chosen.gpus / 3600
        limit = "the GPU" if each == 1 / rate else "decoding"
        print(f"{workers:>3} workers a GPU: {hours:.2f} h ({60 * hours:.0f} min), bound by {limit}")


if __name__ == "__main__":
    main()
