"""What each method adds to the time of a training step: python tests/benchmarks/training.py [digits|prn18] [--batch N].

All methods take a step in turn, on one thread, so that what else the machine does meets them alike; printed are the
medians and their ratios to AT. What the controller's searches add is printed apart: they are part of no step.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
import torch
from tabulate import tabulate

from rbench.catalog import Catalog
from rbench.data.synthetic import synthetic
from rbench.training.pipeline import Pipeline
from rbench.training.setting import prepare
from rbench.training.step import search, step

METHODS = ["at", "ews", "awp", "ews-awp", "trades", "ews-trades", "trades-awp", "ews-trades-awp"]


def timed(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def main():
    """Print a table of all methods on one architecture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arch", nargs="?", default="digits", choices=["digits", "prn18"])
    parser.add_argument("--batch", type=int, default=None, help="images a step; the recipe's on digits, 8 otherwise")
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    catalog = Catalog.find()
    settings, feeds, times = {}, {}, {method: [] for method in METHODS}
    for method in METHODS:
        card = catalog.model(f"{method}-{chosen.arch}")
        recipe = catalog.recipe(card.recipe)
        recipe = replace(recipe, batch=chosen.batch or (recipe.batch if chosen.arch == "digits" else 8))
        settings[method] = prepare(card, recipe, 0, data=synthetic(card.dataset))
        pipeline = Pipeline(settings[method].data, recipe, 0)
        feeds[method] = pipeline[20, settings[method].fitted[: recipe.batch]]
    for turn in range(chosen.rounds + 1):  # the first one warms up
        for method, setting in settings.items():
            batch = feeds[method]
            taken = timed(lambda s=setting, b=batch, t=turn: step(s, 20, t, [b], len(b.y)))
            times[method] += [taken] if turn else []
    medians = {method: float(np.median(found)) for method, found in times.items()}
    rows = []
    for method, setting in settings.items():
        share = "-"
        if setting.enhancer is not None and chosen.arch == "digits":
            every = setting.recipe.ews.every * setting.batches
            share = f"{timed(lambda s=setting: search(s, s.enhancer, 10)) / (every * medians[method]):.3f}"
        bare = method.removeprefix("ews-") if method != "ews" else "at"
        rows.append(
            [method, 1e3 * medians[method], medians[method] / medians["at"], medians[method] / medians[bare], share]
        )
    head = ["method", "ms a step", "ratio to AT", "ratio to the same without EWS", "searches / steps"]
    print(f"{chosen.arch}, batches of {settings['at'].recipe.batch}, PGD-10, one thread, medians of {chosen.rounds}")
    print(tabulate(rows, head, floatfmt=".2f", tablefmt="github"))


if __name__ == "__main__":
    main()
