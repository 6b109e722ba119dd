"""CIFAR-10-C, CIFAR-100-C and CIFAR-10/100-P (Hendrycks and Dietterich, ICLR 2019), from their files.

CIFAR-10-C-bar (Mintun et al., NeurIPS 2021) has the files of CIFAR-10-C.
"""

import numpy as np

from rbench.corruptions.tables import SEVERITIES
from rbench.data.folders import remedy, required
from rbench.data.groups import against, check_difficulties, check_groups, file_name
from rbench.data.npy_files import NpyView, described, opened, shape_of
from rbench.datasets import Dataset
from rbench.errors import MissingError

PIXELS = (32, 32, 3)


def cifar_c(
    dataset: Dataset,
    seed: int,  # noqa: ARG001 - files hold no randomness
    *,
    corruption: str,
    severities: tuple[int, ...] = SEVERITIES,
    folder: str = "CIFAR-10-C",
) -> NpyView:
    """One corruption of CIFAR-10-C, CIFAR-100-C or CIFAR-10-C-bar, uint8 [n, 1, 3, 32, 32]; a group is a severity.

    Read from `<folder>/<corruption>.npy`, uint8 [5 n, 32, 32, 3]: the n test images at severity 1, then at 2, and so
    on. `labels.npy` must be the labels of the dataset five times. Raises `MissingError` for what is missing or is not
    such a file; another MD5 than the official one is told in the provenance.
    """
    check_groups("severities", severities, SEVERITIES)
    n, advice = len(dataset.labels), remedy(folder, corruption)
    root = required(folder, corruption)
    labels = opened(root / "labels.npy", advice)
    if not np.array_equal(labels, np.tile(dataset.labels, len(SEVERITIES))):
        raise MissingError(
            f"{root / 'labels.npy'}, {described(labels)}, is not the {n} labels of {dataset.name} five times. {advice}."
        )
    path = root / f"{corruption}.npy"
    shape_of(path, (len(SEVERITIES) * n, *PIXELS), advice)
    starts = {severity: (severity - 1) * n for severity in severities}
    return NpyView(severities, 1, "previous", folder, dataset.labels, dict.fromkeys(severities, path), starts)


def cifar_p(
    dataset: Dataset,
    seed: int,  # noqa: ARG001
    *,
    perturbation: str,
    difficulties: tuple[int, ...] = (1,),
    folder: str = "CIFAR-10-P",
) -> NpyView:
    """One perturbation of CIFAR-10-P or CIFAR-100-P, uint8 [n, frames, 3, 32, 32]; a group is a difficulty.

    Read from `<folder>/<perturbation>.npy`, uint8 [n, frames, 32, 32, 3], in the order of the test images; difficulties
    2 and 3 of noises are `<perturbation>_2.npy` and `<perturbation>_3.npy`. The authors publish no labels with them to
    compare. Raises `MissingError` for what is missing, is not such a file, or differs in its number of frames.
    """
    check_difficulties(perturbation, difficulties)
    n, advice = len(dataset.labels), remedy(folder, perturbation)
    root = required(folder, perturbation)
    files = {d: root / f"{file_name(perturbation, d)}.npy" for d in difficulties}
    frames = {shape_of(path, (n, None, *PIXELS), advice)[1] for path in files.values()}
    if len(frames) > 1 or min(frames) < 2:
        raise MissingError(f"{root} has {perturbation} in sequences of {sorted(frames)} frames. {advice}.")
    starts = dict.fromkeys(difficulties, 0)
    return NpyView(difficulties, frames.pop(), against(perturbation), folder, dataset.labels, files, starts)
