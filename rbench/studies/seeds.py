"""What trainings from several seeds have in common: one row of numbers in the place of one for each of them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

AXIS = "seed"  # what stands along the axis, if it is trainings: name@.../seed*/weights.safetensors
VALUES = {"dependence": "bits"}  # the number of each analysis that is summed up


def over_seeds(frame: "pd.DataFrame", value: str) -> "pd.DataFrame":
    """Of each number its least and its mean over the trainings that converged, and its largest over all of them.

    `reported` is the least one or, where none converged, the largest, as in algorithm 1 of arXiv 2307.03803; `doubted`
    counts the numbers that are in doubt. A row of `frame` says by `reached` whether its training came to be as good as
    was wanted; where nothing was wanted it is None, and the training counts as one that converged.
    """
    import pandas as pd

    labels = [
        key for key in list(frame.columns)[: list(frame.columns).index("condition") + 1] if key not in ("at", "reached")
    ]
    rows = []
    for key, part in frame.groupby(labels, sort=False):
        done = part[value][[reached is not False for reached in part.reached]]
        rows.append(
            {
                **dict(zip(labels, key, strict=True)),
                "trainings": len(part),
                "converged": len(done),
                "least": done.min(),
                "mean": done.mean(),
                "largest": part[value].max(),
                "reported": done.min() if len(done) else part[value].max(),
                "doubted": int((part.doubt != "").sum()),
            }
        )
    return pd.DataFrame(rows)
