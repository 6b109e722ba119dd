"""Runs written by hand, which a table counts as it does those of an evaluation; no model is run."""

from types import SimpleNamespace

import numpy as np
from evidence import outcomes

from rbench import identity
from rbench.planner import run_folder
from rbench.store import Run
from rbench.subject import subject_of


def keep(catalog, root, suite, model, variant, correct):
    """A complete run in which each probe has the samples `correct[probe]`; returns its folder."""
    asked = variant.apply(catalog.suite(suite))
    subject = subject_of(catalog, model, variant, asked)
    dataset = SimpleNamespace(digest="d" * 64, labels=np.zeros(500, dtype=np.int64))
    views = {p.name: SimpleNamespace(digest="e" * 64, provenance={}) for p in asked.probes if p.data is not None}
    n = variant.limit or len(dataset.labels)
    run = Run(run_folder(root, suite, model, variant))
    with run.writing(identity.manifest(asked, subject, {}, dataset, views, n, variant.seed)):
        for job in identity.jobs(asked, subject, {}, dataset, views, variant.seed):
            run.commit(job, outcomes(correct[job.probe.name]))
            run.complete(job, n, ())
    return run.folder
