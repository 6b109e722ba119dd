"""How the main job without AutoAttack scales with workers: python tests/benchmarks/scaling.py [--limit N] [--rounds N].

Every count of workers runs the same evaluation from nothing, its start included, in turn, and must leave the same
bytes; printed are the medians, the speed against one worker, and its share of the ideal, min(workers, cores). Leave the
machine alone meanwhile: the load of the last minute is printed for that.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from tabulate import tabulate

import rbench

PROBES = ("clean", "fgsm", "pgd20", "worst-case")


def evaluated(chosen, workers):
    """The seconds that an evaluation takes, and the bytes of its evidence."""
    with tempfile.TemporaryDirectory() as runs:
        started = time.perf_counter()
        run = rbench.evaluate(
            chosen.model, "digits-linf", probes=chosen.probe, limit=chosen.limit, batch=50, workers=workers, device="cpu",
            runs=runs,
        )  # fmt: skip
        taken = time.perf_counter() - started
        return taken, {path.name: path.read_bytes() for path in Path(run.folder).glob("*/*.parquet")}


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="at-digits")
    parser.add_argument("--probe", action="append", help=f"may be repeated; by default {', '.join(PROBES)}")
    parser.add_argument("--limit", type=int, default=None, help="only so many images; all 500 by default")
    parser.add_argument("--workers", type=int, default=4, help="the most workers")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    chosen.probe = chosen.probe or PROBES
    cores = len(os.sched_getaffinity(0))
    load = [os.getloadavg()[0]]
    times, kept = {workers: [] for workers in range(1, chosen.workers + 1)}, None
    evaluated(argparse.Namespace(**{**vars(chosen), "limit": 1}), 1)  # what is loaded once is loaded now
    for _ in range(chosen.rounds):
        for workers, found in times.items():
            taken, evidence = evaluated(chosen, workers)
            found.append(taken)
            kept = kept or evidence
            if evidence != kept:
                raise SystemExit(f"{workers} workers left other bytes than one.")
    load.append(os.getloadavg()[0])
    rows = []
    for workers, found in times.items():
        speed, ideal = np.median(times[1]) / np.median(found), min(workers, cores)
        rows.append([workers, np.median(found), f"{min(found):.1f}-{max(found):.1f}", speed, ideal, speed / ideal])
    images = chosen.limit or "all"
    print(f"{chosen.model}, {', '.join(chosen.probe)} of digits-linf, {images} images, medians of {chosen.rounds}")
    print(f"{cores} cores; load of the last minute {load[0]:.1f} before and {load[1]:.1f} after")
    head = ["workers", "s", "from-to", "speed", "ideal", "efficiency"]
    print(tabulate(rows, head, floatfmt=".2f", tablefmt="github"))


if __name__ == "__main__":
    main()
