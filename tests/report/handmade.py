"""A shelf with one suite and three models, and runs whose outcomes are set by hand: no network is asked anything."""

from dataclasses import asdict, replace

import numpy as np
from evidence import outcomes

from rbench.catalog import Catalog
from rbench.current import code_of, identity
from rbench.planner import Variant, jobs, run_folder
from rbench.store import Run
from rbench.types import Finding

N = 10
CURVED = (Variant(eps="8/255"), Variant(eps="1"))
CURVE = "eps,radius,unbounded,score,value,low,high,n,corrected\n0,0.0,False,worst,1.0,0.7,1.0,10,0\n8/255,0.03,False,worst,0.5,0.2,0.8,10,1\n1,1.0,True,worst,0.0,0.0,0.3,10,0\n"  # noqa: E501
SUITE = """
version = 3
title = "hand & made"
dataset = "digits"
data = { use = "rbench.data.digits:digits", args = { split = "test" } }
threat = { norm = "linf", eps = "24/255" }
[probes.clean]
[probes.pgd20]
attack = { use = "rbench.attacks.pgd:pgd", args = { steps = 20, rel_step = "1/4" } }
[probes.fog]
data = { use = "rbench.data.corrupted:generated", args = { corruption = "fog", severities = [1, 5] } }
[scores.clean]
title = "Clean"
use = "rbench.metrics:accuracy"
of = ["clean"]
[scores.worst]
title = "Worst case"
use = "rbench.metrics:worst_case"
of = ["clean", "pgd20"]
[scores.fog]
title = "Fog error"
use = "rbench.metrics:error"
of = ["fog"]
higher_is_better = false
"""
CARD = """
title = '{title}'
dataset = "digits"
paper = "A paper"
note = '<img src=x onerror="alert(1)">'
{reported}
[arch]
use = "rbench.models.linear:linear"
"""
TITLES = {"alpha": '<script>alert("1")</script>', "beta": "Beta & co", "gamma": "Gamma"}
REPORTED = 'reported = [{ suite = "made", score = "clean", value = 94.25, source = "A paper, table 1" }]'
DOUBT = Finding("RB114", "error", "the gradient differs <b>much</b>.")


def shelf(folder):
    """The catalog of the shelf."""
    (folder / "suites").mkdir(parents=True)
    (folder / "suites" / "made.toml").write_text(SUITE)
    zoo = folder / "model_zoo"
    zoo.mkdir()
    for name, title in TITLES.items():
        (zoo / f"{name}.toml").write_text(CARD.format(title=title, reported=REPORTED if name == "beta" else ""))
    (zoo / "weights.lock").write_text("".join(f'{name} = "{k:064d}"\n' for k, name in enumerate(TITLES)))
    return Catalog.find([folder])


def run(catalog, root, model, counts, variant=None, found=(), stale=False):
    """Write a run in which so many of the first samples are classified correctly, by probe; fog has 2 severities."""
    variant = variant or Variant()
    suite, card = variant.apply(catalog.suite("made")), catalog.model(model)
    weights = catalog.weights(card)[1]
    code = {"rbench": "0" * 16} if stale else code_of(suite, card.arch)
    manifest = {
        "rbench": "0.1.0", "suite": identity(suite), "model": model, "arch": asdict(card.arch), "weights": weights,
        "data": "d" * 64, "views": {}, "samples": N, "total": 500, "seed": variant.seed, "code": code, "surrogates": {},
    }  # fmt: skip
    held = Run(run_folder(root, "made", model, variant))
    with held.writing(manifest):
        held.remember({"torch": "2.9", "device": "cpu"})
        for job in jobs(suite, model=model, weights=weights, data="d" * 64, code="c", seed=variant.seed):
            if job.probe.name in counts:
                held.commit(job, rows(counts[job.probe.name]))
                held.complete(job, N, tuple(found) if job.probe.name == "pgd20" else ())
    return held.folder


def rows(count):
    """Outcomes of `N` samples; of two counts, those of severities 1 and 5."""
    counts = count if isinstance(count, tuple) else (count,)
    groups = (1, 5) if len(counts) > 1 else (0,)
    moved = np.full(N, 0.05)
    parts = [
        outcomes(np.arange(N) < k, group=np.full(N, g), distance=moved) for k, g in zip(counts, groups, strict=True)
    ]
    columns = [name for name, values in vars(parts[0]).items() if len(values)]
    return replace(parts[0], **{name: np.concatenate([getattr(part, name) for part in parts]) for name in columns})


def fill(catalog, root):
    """Runs of three models: with a doubt, stale, of parts of the suite, of other weights, at several eps."""
    run(catalog, root, "alpha", {"clean": 9, "pgd20": 4, "fog": (8, 3)})
    run(catalog, root, "beta", {"clean": 10, "pgd20": 7}, found=[DOUBT])
    run(catalog, root, "gamma", {"clean": 8, "pgd20": 8, "fog": (9, 9)}, stale=True)
    run(catalog, root, "alpha", {"clean": 6}, Variant(limit=10, probes=("clean",)))
    run(catalog, root, "alpha", {"clean": 6}, Variant(weights_file="mine.pt"))
    for variant in CURVED:
        run(catalog, root, "alpha", {"clean": 9, "pgd20": 1}, variant)
    curve = root / "made" / "alpha" / "curve-seed0-12345678"
    curve.mkdir()
    (curve / "curve.csv").write_text(CURVE)
    (curve / "curve.png").write_bytes(b"a picture")
    (root / "studies" / "something").mkdir(parents=True)
