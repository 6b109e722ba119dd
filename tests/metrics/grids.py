"""Outcomes of images in several severities, and of sequences, made by hand."""

from dataclasses import fields, replace

import numpy as np

from rbench.types import Outcomes


def rows(sample, group, frame, wrong, pred=None, **more):
    """Outcomes of label 1, row by row."""
    n = len(sample)
    zeros = np.zeros(n, dtype=np.int64)
    pred = np.where(wrong, 2, 1) if pred is None else pred
    nothing = {"margin": np.zeros(n), "distance": np.zeros(n), "forwards": zeros, "backwards": zeros}
    return Outcomes(sample=sample, group=group, frame=frame, label=zeros + 1, pred=pred, **nothing, **more)


def stills(wrong, groups=None, start=0):
    """A probe of images [n, severities] that are misclassified or not, severity by severity as the engine asks."""
    wrong = np.atleast_2d(np.asarray(wrong, dtype=bool))
    n, count = wrong.shape
    groups = np.arange(1, count + 1) if groups is None else np.asarray(groups)
    sample = np.tile(np.arange(start, start + n), count)
    return rows(sample, np.repeat(groups, n), np.zeros(n * count, dtype=np.int64), wrong.T.ravel())


def clean(wrong, start=0):
    """A clean probe."""
    return stills(np.asarray(wrong, dtype=bool)[:, None], groups=[0], start=start)


def sequences(pred, *, group=1, top=None, zipf=None):
    """A probe of sequences [n, frames] of predictions; `top` is [n, frames, 5], `zipf` [n, frames]."""
    pred = np.asarray(pred)
    n, frames = pred.shape
    more = {} if top is None else {"top": np.asarray(top).reshape(n * frames, -1)}
    more |= {} if zipf is None else {"zipf": np.asarray(zipf, dtype=float).ravel()}
    sample, frame = np.repeat(np.arange(n), frames), np.tile(np.arange(frames), n)
    return rows(sample, np.full(n * frames, group), frame, None, pred.ravel(), **more)


def counted(error, n, severities=5):
    """Images [n, severities] of which the first `error * n` are misclassified; an error for each severity, or one."""
    share = np.broadcast_to(np.asarray(error, dtype=float), (severities,))
    return stills(np.arange(n)[:, None] < np.rint(share * n)[None, :])


def picked(outcomes, index):
    """Some rows of outcomes, in any order."""
    columns = {f.name: getattr(outcomes, f.name) for f in fields(outcomes)}
    return replace(outcomes, **{name: c[index] for name, c in columns.items() if len(c) == len(outcomes)})


def together(*outcomes):
    """All rows of several outcomes."""
    names = [f.name for f in fields(outcomes[0])]
    return Outcomes(**{name: np.concatenate([getattr(o, name) for o in outcomes]) for name in names})


def zipf_distance(first, second):
    """Zipf's distance sum_i w_i |w_i - w_sigma(i)|, w_i = 1/i, of full rankings [..., K]."""
    one, two = np.asarray(first), np.asarray(second)
    weights = 1 / np.arange(1, one.shape[-1] + 1)
    sigma = np.take_along_axis(np.argsort(two, -1), one, -1)
    return (weights * np.abs(weights - weights[sigma])).sum(-1)
