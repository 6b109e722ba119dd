"""What each of some ranks ends with: run by test_ranks.py in as many processes as torchrun would start."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from rbench.data.arrays import ArrayDataset
from rbench.data.digits import digits
from rbench.errors import StoreError
from rbench.recipe import Augment, Awp, Ews, InnerAttack, Optimiser, Recipe
from rbench.training.batches import epoch_order, split
from rbench.training.pipeline import Pipeline
from rbench.training.ranks import joined
from rbench.training.selection import measure
from rbench.training.setting import prepare
from rbench.training.step import search, step
from rbench.types import Call, ModelCard, Threat

ARGS = {"classes": 10, "mean": [0.3] * 3, "std": [0.3] * 3, "width": 4}
NETWORK = ModelCard("net", "Net", Call("rbench.models.preact_resnet:preact_resnet_small", ARGS), "digits")
LINEAR = ModelCard("l", "L", Call("rbench.models.linear:linear", {"features": 3072, "classes": 10}), "digits")
RECIPE = Recipe(
    name="sharing",
    data=Call("a:b"),
    objective=Call("rbench.training.objectives:adversarial"),
    epochs=2,
    batch=30,
    holdout=20,
    optimiser=Optimiser(lr=0.1, clip=0.5),
    augment=Augment(pad=1),
    attack=InnerAttack(Threat("linf", "24/255"), steps=2, rel_step="1/2"),
    awp=Awp(0.01),
)
BARE = replace(RECIPE, objective=Call("rbench.training.objectives:standard"), attack=None, awp=None)
TEACHERS = {"clean": "standard-digits", "robust": "at-digits"}
TAUGHT = replace(RECIPE, objective=Call("rbench.training.mtard:mtard", TEACHERS), awp=None)
SHARED = Optimiser(lr=0.1, shares={"router": 0.1})
NETS = {"depths": [1], "widths": [4], "router_depths": [1], "router_widths": [3], "stem": "digits"}
DYNAMIC = ModelCard("aw", "AW", Call("rbench.models.awnet:awnet", {"classes": 10, **NETS}), "digits")


def fitted(setting, double=False):
    """Two epochs of steps; the sums of the last one of this rank."""
    pipeline = Pipeline(setting.data, setting.recipe, 0)
    if double:
        setting.model.double()
    for epoch in range(2):
        for iteration, ids in enumerate(split(epoch_order(setting.fitted, 0, epoch), setting.recipe.batch)):
            parts = [pipeline[epoch, part] for part in setting.parts(ids)]
            parts = [part._replace(x=part.x.double()) if double else part for part in parts]
            sums = step(setting, epoch, iteration, parts, len(ids))
    return setting.ranks.total(sums).tolist()


def main(out):
    whole = digits("train")
    data = ArrayDataset("some", 10, whole.pixels[:120], whole.labels[:120])
    with joined("cpu") as (ranks, where):
        found = {}
        linear = prepare(LINEAR, RECIPE, 0, where, data=data, ranks=ranks)
        found["linear-sums"] = fitted(linear, double=True)
        found["linear"] = linear.model.state_dict()
        linear.model.float()
        found["linear-accuracy"] = measure(linear)
        enhanced = replace(RECIPE, ews=Ews(every=1, subset=1.0, subnets=4, rho=0.7))
        network = prepare(NETWORK, enhanced, 0, where, data=data, ranks=ranks)
        search(network, network.enhancer, 1)
        fitted(network)
        found["network"] = network.model.state_dict()
        found["controller"] = network.enhancer.controller.state_dict()
        once = prepare(NETWORK, replace(BARE, augment=Augment()), 0, where, data=data, ranks=ranks)
        ids = once.fitted[:30]
        step(once, 0, 0, [Pipeline(data, once.recipe, 0)[0, part] for part in once.parts(ids)], 30)
        found["once"] = once.model.state_dict()
        distilled = prepare(LINEAR, TAUGHT, 0, where, data=data, ranks=ranks)
        fitted(distilled)
        found["taught"] = distilled.model.state_dict() | distilled.objective.memory.state()
        dynamic = prepare(DYNAMIC, replace(TAUGHT, optimiser=SHARED), 0, where, data=data, ranks=ranks)
        fitted(dynamic)
        found["dynamic"] = dynamic.model.state_dict() | dynamic.objective.memory.state()
        found["told"] = ranks.told(lambda: "only the first" if ranks.first else "another", where)

        def full():
            raise StoreError("no space")

        try:
            ranks.told(full, where)
        except StoreError as error:
            found["error"] = str(error)
        with once.seeded("train/step", 0, 0):
            found["dropout"] = torch.rand(1).item()
        Path(out).parent.mkdir(exist_ok=True)
        torch.save(found, out)


if __name__ == "__main__":
    main(sys.argv[1])
