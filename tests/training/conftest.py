from dataclasses import replace
from pathlib import Path

import pytest
import torch
import zoo

from rbench.recipe import Augment, Ews, InnerAttack, Optimiser, Recipe, Schedule, Selection
from rbench.types import Call, ModelCard, Threat

THREAT = Threat("linf", "24/255")


@pytest.fixture(autouse=True)
def single_thread():
    """These networks are too small to share among threads, which on a busy machine wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def card():
    args = {"classes": 10, "mean": [0.305] * 3, "std": [0.324] * 3, "width": 4}
    return ModelCard(
        "tiny", "Tiny", Call("rbench.models.preact_resnet:preact_resnet_small", args), "digits", recipe="tiny"
    )


@pytest.fixture
def recipe():
    """Adversarial training with enhanced subnets, small: 3 batches an epoch, a search before each but the first."""
    return Recipe(
        name="tiny",
        data=Call(f"{Path(__file__).with_name('small.py')}:small"),
        objective=Call("rbench.training.objectives:adversarial"),
        epochs=4,
        batch=40,
        holdout=40,
        optimiser=Optimiser(lr=0.05),
        schedule=Schedule(milestones=(3,)),
        augment=Augment(pad=2),
        attack=InnerAttack(THREAT, steps=2, rel_step="1/2"),
        selection=Selection(THREAT, steps=2, rel_step="1/2"),
        ews=Ews(every=1, subset=0.2, subnets=2),
    )


@pytest.fixture
def plain(recipe):
    """The same without attack and subnets."""
    objective = Call("rbench.training.objectives:standard")
    return replace(recipe, objective=objective, attack=None, ews=None, selection=Selection())


@pytest.fixture
def shelf(tmp_path):
    """A catalog folder with two tiny models, on 400 digits."""
    return zoo.write(tmp_path / "shelf", f"{Path(__file__).with_name('small.py')}:medium")
