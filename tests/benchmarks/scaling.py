"""How the main job without AutoAttack scales with workers: python tests/benchmarks/scaling.py [--simulate] [--limit N].

Every count of workers runs the same evaluation from nothing, its start included, in turn, and must leave the same
bytes; printed are the medians, the speed against one worker, and its share of the ideal, min(workers, cores). Leave the
machine alone meanwhile: the load of the last minute is printed for that.

With --simulate one worker runs it once; the seconds of a core that the start and each group of blocks took are then
dealt out to workers with a core each, as the pool does: whoever is free takes the next group of a probe. That is what
the size of blocks allows, on any machine and however busy this one is; the birth of the processes is not in it.
"""

import argparse
import heapq
import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from unittest.mock import patch

import numpy as np
from tabulate import tabulate

import rbench
from rbench import engine

PROBES = ("clean", "fgsm", "pgd20", "worst-case")


def evaluated(chosen, workers, **changes):
    """The seconds that an evaluation takes, and the bytes of its evidence."""
    options = {"probes": chosen.probe, "limit": chosen.limit, "batch": 50, "workers": workers, "device": "cpu"}
    with tempfile.TemporaryDirectory() as runs:
        started = time.perf_counter()
        run = rbench.evaluate(chosen.model, "digits-linf", runs=runs, **{**options, **changes})
        taken = time.perf_counter() - started
        return taken, {path.name: path.read_bytes() for path in Path(run.folder).glob("*/*.parquet")}


def measured(chosen):
    """A core's seconds of one worker: in all, of setting up, and of each group of blocks by its probe."""
    setting_up, groups = [], defaultdict(list)

    def timed(function, note):
        def run(*args, **options):
            started = time.process_time()
            found = function(*args, **options)
            note(args, time.process_time() - started)
            return found

        return run

    set_up = timed(engine.set_up, lambda _, taken: setting_up.append(taken))
    run_blocks = timed(engine.run_blocks, lambda args, taken: groups[args[1].probe.name].append(taken))
    with patch.object(engine, "set_up", set_up), patch.object(engine, "run_blocks", run_blocks):
        started = time.process_time()
        evaluated(chosen, 1)
        return time.process_time() - started, setting_up[0], groups


def simulated(whole, setting_up, groups, workers):
    """The seconds that so many workers with a core each take; one alone works in the process that hands out."""
    now = whole - sum(map(sum, groups.values()))
    if workers == 1:
        return whole
    unprepared = set(range(workers))
    for tasks in groups.values():  # a probe begins when the one before has ended
        if len(tasks) == 1 and len(unprepared) == workers:
            now += tasks[0]
            continue
        free = [(now, worker) for worker in range(workers)]
        for seconds in tasks:
            begun, worker = heapq.heappop(free)
            start = setting_up if worker in unprepared else 0
            unprepared.discard(worker)
            heapq.heappush(free, (begun + start + seconds, worker))
        now = max(free)[0]
    return now


def raced(chosen, cores):
    """The rows of the table by running everything."""
    times, kept = {workers: [] for workers in range(1, chosen.workers + 1)}, None
    evaluated(chosen, 1, limit=1)  # what is loaded once is loaded now
    for _ in range(chosen.rounds):
        for workers, found in times.items():
            taken, evidence = evaluated(chosen, workers)
            found.append(taken)
            kept = kept or evidence
            if evidence != kept:
                raise SystemExit(f"{workers} workers left other bytes than one.")
    for workers, found in times.items():
        yield workers, float(np.median(found)), f"{min(found):.1f}-{max(found):.1f}", min(workers, cores)


def dealt(chosen):
    """The rows of the table by simulation."""
    evaluated(chosen, 1, limit=1)
    whole, setting_up, groups = measured(chosen)
    for probe, tasks in groups.items():
        print(f"{probe}: {len(tasks)} groups of blocks, {min(tasks):.2f} to {max(tasks):.2f} s each")
    print(f"start {whole - sum(map(sum, groups.values())):.2f} s, {setting_up:.2f} s of which each worker repeats")
    for workers in range(1, chosen.workers + 1):
        yield workers, simulated(whole, setting_up, groups, workers), "-", workers


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="at-digits")
    parser.add_argument("--probe", action="append", help=f"may be repeated; by default {', '.join(PROBES)}")
    parser.add_argument("--limit", type=int, default=None, help="only so many images; all 500 by default")
    parser.add_argument("--workers", type=int, default=4, help="the most workers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--simulate", action="store_true", help="run once, by one worker, and deal its blocks out")
    chosen = parser.parse_args()
    chosen.probe = chosen.probe or PROBES
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(f"{chosen.model}, {', '.join(chosen.probe)} of digits-linf, {chosen.limit or 'all'} images")
    found = list(dealt(chosen) if chosen.simulate else raced(chosen, cores))
    how = "simulated" if chosen.simulate else f"medians of {chosen.rounds}, {cores} cores"
    print(f"{how}; load of the last minute {load:.1f} before and {os.getloadavg()[0]:.1f} after")
    alone = found[0][1]
    rows = [[workers, s, spread, alone / s, ideal, alone / s / ideal] for workers, s, spread, ideal in found]
    print(
        tabulate(rows, ["workers", "s", "from-to", "speed", "ideal", "efficiency"], floatfmt=".2f", tablefmt="github")
    )


if __name__ == "__main__":
    main()
