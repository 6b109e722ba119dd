"""The corruptions beside imagecorruptions 1.1.2, as Markdown: how far apart they are, and how fast each is.

Usage: python tests/benchmarks/corruptions.py [parity|speed] [SIZE ...]; needs the extra imagecorruptions.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "corruptions"))
from injected import pair, photographs

from rbench.backends import imagecorruptions
from rbench.corruptions.corrupt import stream
from rbench.corruptions.generators import Generator
from rbench.corruptions.tables import COMMON, CORRUPTIONS, SEVERITIES

BATCH = {32: 256, 224: 16}  # images of one call of ours
THEIRS = {32: 32, 224: 4}  # images one by one of theirs
ROUNDS = 3


def parity(sizes):
    """For each corruption and severity, the largest difference in grey levels and the share of values that differ."""
    for size in sizes:
        images = photographs(size, 4 if size > 100 else 32)
        print(f"\n{size} pixels, {len(images)} photographs: share of values that differ, severity 1 to 5\n")
        print("| corruption | largest difference | " + " | ".join(map(str, SEVERITIES)) + " |")
        print("|---" * 7 + "|")
        for corruption in CORRUPTIONS:
            apart = []
            for severity in SEVERITIES:
                ours, theirs = pair(images, corruption, severity)
                apart.append(np.abs(ours.astype(int) - theirs))
            shares = " | ".join(f"{100 * (d > 0).mean():.3f}%" for d in apart)
            print(f"| {corruption} | {max(int(d.max()) for d in apart)} | {shares} |", flush=True)


def speed(sizes):
    """Milliseconds an image, mean over severities of the quickest of some rounds, ours and theirs in turn."""
    for size in sizes:
        images = photographs(size, max(BATCH[size], THEIRS[size]))
        print(f"\n{size} pixels, {torch.get_num_threads()} threads, batches of {BATCH[size]}: ms an image\n")
        print("| corruption | rbench | imagecorruptions | times |")
        print("|---|---|---|---|")
        total = np.zeros(2)
        for corruption in CORRUPTIONS:
            spent = np.mean([_quickest(images, size, corruption, severity) for severity in SEVERITIES], axis=0)
            total += 5 * spent * (corruption in COMMON)
            print(f"| {corruption} | {spent[0]:.3f} | {spent[1]:.3f} | {spent[1] / spent[0]:.1f} |", flush=True)
        print(f"| **all 15 x 5** | {total[0]:.1f} | {total[1]:.1f} | {total[1] / total[0]:.1f} |")


def _quickest(images, size, corruption, severity):
    mine = torch.from_numpy(images[: BATCH[size]])
    theirs = [np.ascontiguousarray(image.transpose(1, 2, 0)) for image in images[: THEIRS[size]]]
    if corruption == "glass_blur":
        theirs = theirs[: 1 if size > 100 else 8]
    generator = Generator("imagecorruptions")
    best = [np.inf, np.inf]
    for _ in range(ROUNDS):
        start = time.perf_counter()
        generator(mine, corruption, severity, stream(0, corruption, severity, torch.arange(len(mine))))
        middle = time.perf_counter()
        for image in theirs:
            imagecorruptions.corrupt(image, corruption, severity)
        end = time.perf_counter()
        spent = (middle - start) / len(mine), (end - middle) / len(theirs)
        best = [min(old, 1000 * new) for old, new in zip(best, spent, strict=True)]
    return best


if __name__ == "__main__":
    words = sys.argv[1:]
    sizes = [int(word) for word in words if word.isdigit()] or [32, 224]
    for task in (parity, speed):
        if not set(words) & {"parity", "speed"} or task.__name__ in words:
            task(sizes)
