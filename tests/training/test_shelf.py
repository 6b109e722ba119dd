"""Everything on the shelf of models: recipes that differ in their method alone, parameter counts, committed weights."""

import hashlib
import tomllib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import safetensors.torch
import torch
from cards import CATALOG, need

from rbench.catalog import bind, resolve
from rbench.recipe import Recipe

MODELS, RECIPES = sorted(CATALOG.files("models")), sorted(CATALOG.files("recipes"))
ZOO = CATALOG.roots[0] / "model_zoo"
LOCKED = sorted(tomllib.loads((ZOO / "weights.lock").read_text()))
PARAMETERS = {  # in 10, 100 or 1,000 classes; those of the papers that count them
    "prn18": 11_172_170,
    "wrn28": 36_479_194,
    "wrn34": 46_160_474,
    "resnet50-cifar10": 23_520_842,
    "resnet50-cifar100": 23_705_252,
    "resnet50-imagenet": 25_557_032,
    **dict.fromkeys([f"awnet{kind}-digits" for kind in ("", "-beta1", "-beta2", "-beta4")], 105_796),
    "awnet-one-norm-digits": 105_058,
    "awnet-adversarial-norm-digits": 105_730,
    "mtard-digits": 78_042,
    "supernet-digits": 67_462,
    "robnet-digits": 31_606,
    "robnet-last-digits": 28_942,
    "separate-net-digits": 175_774,
    "digits": 77_850,
    "resnet18-cifar10": 11_173_962,
    "wrn28-cifar10": 36_479_194,
    "wrn34-cifar10": 46_160_474,
    "wrn34-cifar100": 46_218_164,
    "densenet121-cifar10": 6_956_426,
    "robnet-small-cifar10": 4_359_574,
    "robnet-medium-cifar10": 5_614_102,
    "robnet-large-cifar10": 6_842_710,
    "robnet-large-v2-cifar10": 33_326_666,
    "robnet-large-denoise-cifar10": 8_338_582,
    "robnet-free-cifar10": 5_439_790,
    "resnet18-cifar100": 11_220_132,
    "robnet-large-cifar100": 6_894_640,
    "robnet-free-cifar100": 5_491_720,
    "resnet18-svhn": 11_173_962,
    "resnet50-svhn": 23_520_842,
    "robnet-large-svhn": 6_842_710,
    "robnet-free-svhn": 5_439_790,
    "resnet18-tiny-imagenet": 11_271_432,
    "resnet50-tiny-imagenet": 23_910_152,
    "robnet-large-tiny-imagenet": 6_952_340,
    "robnet-free-tiny-imagenet": 5_549_420,
    "resnet101-imagenet": 44_549_160,
    "resnet152-imagenet": 60_192_808,
    "robnet-large-imagenet": 12_756_448,
    "resnet56-cifar10": 855_770,
    "awnet-cifar10": 24_323_340,
    "awnet-l-cifar10": 36_343_180,
    "awnet-one-norm-cifar10": 24_312_714,
    "awnet-adversarial-norm-cifar10": 24_322_314,
    "separate-net-cifar10": 33_517_782,
    "separate-net-l-cifar10": 53_734_102,
    "awnet-cifar100": 24_369_510,
    "awnet-tiny-imagenet": 24_420_810,
    "resnet34-cifar10": 21_282_122,
    "resnet34-cifar100": 21_328_292,
    "resnet34-tiny-imagenet": 21_379_592,
    "wrn34-8-cifar10": 29_551_578,
    "wrn34-8-cifar100": 29_597_748,
    "vgg16bn-cifar10": 33_646_666,
    "vgg16bn-cifar100": 34_015_396,
    "repvgg-a2-cifar10": 26_815_690,
    "repvgg-a2-cifar100": 26_942_500,
    "swin-tiny-cifar10": 27_527_044,
    "swin-small-cifar10": 48_844_948,
}
ADVERSARIAL = ["at", "ews", "awp", "ews-awp", "trades", "ews-trades", "trades-awp", "ews-trades-awp"]
AUGMENTED = [
    *("standard", "dropout", "ews-std", "autoaugment", "dropout-autoaugment", "ews-autoaugment"),
    *("augmix", "dropout-augmix", "ews-augmix"),
]
DEEP = ["deepaugment", "dropout-deepaugment", "ews-deepaugment"]
ROWS = [f"{method}-{arch}" for method in ADVERSARIAL for arch in ("prn18", "wrn28", "wrn34", "digits")]
ROWS += [f"{method}-resnet50-{data}" for method in AUGMENTED for data in ("cifar10", "cifar100", "imagenet")]
ROWS += [f"{method}-resnet50-imagenet" for method in DEEP]
ROBNETS = [name for name in PARAMETERS if name.startswith("robnet")]
ROBNETS += ["robnet-supernet-digits", "robnet-free-supernet-digits"]
BASELINES = ["resnet18-cifar10", "resnet50-cifar10", "wrn28-cifar10", "densenet121-cifar10"]
BASELINES += [f"resnet{depth}-{data}" for depth in (18, 50) for data in ("cifar100", "svhn", "tiny-imagenet")]
FREE = [f"free-at-resnet{depth}-imagenet" for depth in (50, 101, 152)]
ROWS += [*ROBNETS, *FREE, *(f"pgd7-at-{name}" for name in BASELINES)]
AWNETS = [f"awnet-{data}" for data in ("cifar10", "cifar100", "tiny-imagenet", "digits")]
AWNETS += [f"awnet-{kind}-cifar10" for kind in ("l", "one-norm", "adversarial-norm")]
AWNETS += [f"awnet-{kind}-digits" for kind in ("one-norm", "adversarial-norm", "beta1", "beta2", "beta4")]
SEPARATE = ["separate-net-cifar10", "separate-net-l-cifar10", "separate-net-digits"]
DISTILLED = [f"mtard-{arch}-{data}" for arch in ("resnet34", "resnet50") for data in ("cifar10", "cifar100", "tiny-imagenet")]  # fmt: skip # noqa: E501
DISTILLED += [
    f"mtard-{arch}-{data}" for arch in ("wrn34-8", "vgg16bn", "repvgg-a2") for data in ("cifar10", "cifar100")
]
DISTILLED += [f"mtard-{arch}-cifar10" for arch in ("resnet18", "swin-tiny", "swin-small")]
ROWS += [*AWNETS, *SEPARATE, *DISTILLED, "mtard-digits"]
UNPUBLISHED = {"robnet-supernet-digits", "robnet-free-supernet-digits"}  # searches train them

UNTRAINED = {"robnet-large-imagenet", *FREE}  # by a method that the trainer does not have


def bare(name):
    """The same recipe without enhanced subnets, by name."""
    word = name.removeprefix("ews-")
    if word.startswith("std-"):
        return word.replace("std-", "standard-")
    return word if word.startswith(("awp", "trades", "augmix", "autoaugment", "deepaugment")) else f"at-{word}"


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_loads_and_everything_it_names_exists(name):
    recipe = CATALOG.recipe(name)
    assert callable(bind(recipe.data, given=["split"]))
    assert "split" not in recipe.data.args  # the trainer asks for the training split and no other
    objective = bind(recipe.objective, given=["recipe"])(recipe=recipe)
    assert {table for table in ("attack", "augmix") if getattr(recipe, table) is not None} == set(objective.uses)
    for preset in recipe.presets:
        changed = CATALOG.recipe(name, preset=preset)
        assert changed != recipe
        assert replace(changed, presets={}).data == recipe.data


@pytest.mark.parametrize("name", MODELS)
def test_card_names_a_recipe_and_an_architecture_of_the_published_size(name):
    card = CATALOG.model(name)
    assert callable(resolve(card.arch.use))
    assert card.recipe in RECIPES or (card.recipe is None and name in UNTRAINED)
    assert name.endswith(card.dataset) or card.dataset == "cifar10"
    need(card)
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in bind(card.arch)().parameters())
    assert count == next(size for suffix, size in PARAMETERS.items() if f"-{name}".endswith(f"-{suffix}"))


@pytest.mark.parametrize("name", ROWS)
def test_every_row_of_the_tables_has_a_card(name):
    assert name in MODELS


@pytest.mark.parametrize("enhanced", [name for name in RECIPES if name.startswith("ews-")])
def test_enhanced_and_bare_recipes_differ_in_the_subnets_alone(enhanced):
    with_subnets, without = CATALOG.recipe(enhanced), CATALOG.recipe(bare(enhanced))
    assert without.ews is None
    assert with_subnets.ews is not None
    assert replace(with_subnets, ews=None, name=without.name, presets=without.presets) == without
    own = {key for key in with_subnets.presets.get("released", {}) if not key.startswith("ews.")}
    assert own == set(without.presets.get("released", {}))


@pytest.mark.parametrize("name", [name for name in RECIPES if "awp" in name])
def test_perturbed_and_plain_recipes_differ_in_the_perturbation_alone(name):
    perturbed, plain = CATALOG.recipe(name), CATALOG.recipe(name.replace("trades-awp", "trades").replace("ews-awp", "ews").replace("awp-", "at-"))  # fmt: skip # noqa: E501
    assert plain.awp is None
    assert perturbed.awp is not None
    assert replace(perturbed, awp=None, name=plain.name) == plain


def test_methods_on_digits_differ_in_the_method_alone():
    standard, augmix = CATALOG.recipe("standard-digits"), CATALOG.recipe("augmix-digits")
    assert replace(augmix, augmix=None, objective=standard.objective, name=standard.name) == standard
    at, trades = CATALOG.recipe("at-digits"), CATALOG.recipe("trades-digits")
    assert replace(trades, objective=at.objective, attack=at.attack, name=at.name) == at
    assert replace(at, objective=standard.objective, attack=None, selection=standard.selection, name=standard.name) == standard  # fmt: skip # noqa: E501
    assert CATALOG.recipe("ews-std-digits").ews == CATALOG.recipe("ews-digits").ews
    plain, dropout = CATALOG.model("standard-digits"), CATALOG.model("dropout-digits")
    assert dropout.recipe == plain.recipe
    assert dropout.arch.args == {**plain.arch.args, "dropout": 0.1}
    preact = [CATALOG.model(name).arch for name in MODELS if name.endswith("-digits")]
    assert {arch.args["width"] for arch in preact if "preact" in arch.use} == {16}


def test_dropout_cards_differ_in_the_architecture_alone():
    for name in (name for name in ROWS if name.startswith("dropout-")):
        dropout, plain = CATALOG.model(name), CATALOG.model(name.replace("dropout-resnet", "standard-resnet").replace("dropout-", ""))  # fmt: skip # noqa: E501
        assert dropout.recipe == plain.recipe
        assert dropout.arch.args == {**plain.arch.args, "dropout": 0.1}


def test_digits_are_never_mirrored_and_their_bits_do_not_depend_on_cores():
    digits = [CATALOG.recipe(name) for name in RECIPES if name.endswith("-digits")]
    assert len(digits) == 20
    assert not any(recipe.augment.flip for recipe in digits)
    assert {recipe.threads for recipe in digits} == {1}


def test_recipe_of_the_paper():
    recipe = CATALOG.recipe(CATALOG.model("ews-wrn34").recipe)
    assert (recipe.epochs, recipe.batch, recipe.augment.pad, recipe.augment.flip) == (200, 128, 4, True)
    assert [recipe.rate(epoch) for epoch in (0, 99, 100, 150)] == pytest.approx([0.1, 0.1, 0.01, 0.001])
    assert (recipe.attack.threat.eps, recipe.attack.steps, recipe.attack.rel_step) == ("8/255", 10, "1/4")
    ews = recipe.ews
    assert (ews.rho, ews.lam, ews.every, ews.subset, ews.subnets) == (0.5, 1, 10, 0.1, 8)
    released = CATALOG.recipe(recipe.name, preset="released")
    ews = released.ews
    assert (ews.rho, ews.lam, ews.every_steps, ews.subnets, released.label_smoothing) == (0.9, 0.1, 10, 1, 0.1)
    imagenet = CATALOG.recipe("ews-augmix-imagenet")
    assert (imagenet.epochs, imagenet.batch, imagenet.ews.lam, imagenet.augmix.severity) == (180, 256, 0.7, 1)
    assert [imagenet.rate(epoch) for epoch in (0, 4, 5, 60)] == pytest.approx([0.02, 0.1, 0.1, 0.01])
    trades = CATALOG.recipe("trades-awp-cifar10")
    assert (trades.attack.threat.eps, trades.attack.rel_step, trades.attack.loss) == ("0.031", "7/31", "kl")
    assert (trades.awp.gamma, trades.awp.warmup, trades.objective.args["beta"]) == (0.005, 10, 6.0)


def test_trades_sees_images_as_they_are_and_at_standardises_them():
    for name in (name for name in ROWS if name.endswith(("prn18", "wrn28", "wrn34"))):
        args = CATALOG.model(name).arch.args
        assert (args["std"] == [1.0, 1.0, 1.0]) == ("trades" in name)


@pytest.mark.parametrize("name", LOCKED)
def test_committed_weights_are_the_locked_ones_and_fit_their_architecture(name):
    card = CATALOG.model(name)
    path, digest = CATALOG.weights(card)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    assert path.stat().st_size < 1e6
    bind(card.arch)().load_state_dict(safetensors.torch.load_file(path))


def test_every_committed_checkpoint_is_locked():
    files = {CATALOG.weights(CATALOG.model(name))[0] for name in LOCKED}
    assert set(Path(ZOO / "weights").glob("*.safetensors")) == files
    assert {name for name in MODELS if name.endswith("-digits")} - UNPUBLISHED == set(LOCKED)


def test_presets_are_part_of_no_training_without_them():
    recipe = CATALOG.recipe("ews-cifar10")
    assert isinstance(recipe, Recipe)
    assert recipe.label_smoothing == 0
    assert recipe.ews.every_steps is None


def test_robnets_are_trained_as_their_program_does():
    recipe = CATALOG.recipe("robnet-cifar10")
    assert (recipe.epochs, recipe.batch, recipe.attack.steps, recipe.selection.steps) == (170, 1536, 7, 7)
    rates = [recipe.rate(epoch) for epoch in (0, 1, 10, 20, 95, 170)]
    assert rates == pytest.approx([0.02, 0.079, 0.61, 1.2, 0.6005, 0.001])
    assert not recipe.optimiser.decay_norms
    cut = CATALOG.recipe("robnet-cutout-cifar10")
    assert cut.augment.cutout == 16
    assert replace(cut, augment=recipe.augment, name=recipe.name) == recipe
    larger = CATALOG.recipe("robnet-v2-cifar10")
    assert (larger.batch, larger.optimiser.lr) == (1024, 0.6)
    optimiser = replace(larger.optimiser, lr=1.2)
    assert replace(larger, batch=1536, optimiser=optimiser, name=recipe.name) == recipe
    assert replace(CATALOG.recipe("robnet-cifar100"), data=recipe.data, name=recipe.name) == recipe


def test_robnets_and_their_baselines_differ_in_the_network_alone():
    for data in ("cifar100", "svhn", "tiny-imagenet"):
        names = [f"robnet-large-{data}", *(f"pgd7-at-resnet{depth}-{data}" for depth in (18, 50))]
        assert {CATALOG.model(name).recipe for name in names} == {f"robnet-{data}"}
    large, free = CATALOG.recipe("robnet-tiny-imagenet"), CATALOG.recipe("robnet-free-tiny-imagenet")
    assert (large.batch, free.batch, large.attack.warmup) == (512, 320, 10)
    assert replace(free, batch=512, name=large.name) == large
    names = ["robnet-free-cifar10", *(f"pgd7-at-{name}" for name in BASELINES if name.endswith("cifar10"))]
    assert {CATALOG.model(name).recipe for name in names} == {"robnet-cifar10"}
    assert not CATALOG.recipe("robnet-svhn").augment.flip


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("semirobust")])
def test_semirobust_networks_and_both_parents_are_one_network_on_one_shelf(name):
    card = CATALOG.model(name)
    recipe = CATALOG.recipe(card.recipe)
    robust, normal = (CATALOG.model(parent) for parent in recipe.start.models)
    assert card.arch == robust.arch == normal.arch
    assert card.dataset == robust.dataset == normal.dataset
    assert recipe.parts.trained == "f_b"
    assert CATALOG.recipe(normal.recipe).attack is None
    assert CATALOG.recipe(robust.recipe).attack.threat == recipe.selection.threat
    if not name.endswith("-digits"):
        assert name.startswith(f"semirobust{recipe.parts.f_b}-")
        assert CATALOG.recipe(robust.recipe).start.models == (normal.name,)
        assert (recipe.epochs, recipe.batch, recipe.optimiser.lr) == (10, 512, 0.001)


def test_clean_and_adversarial_fine_tuning_differ_in_the_attack_alone():
    robust, clean = CATALOG.recipe("semirobust-digits"), CATALOG.recipe("semirobust-clean-digits")
    assert replace(robust, attack=None, objective=clean.objective, name=clean.name) == clean
    assert replace(clean.selection, until=None, kappa=0.0) == CATALOG.recipe("at-digits").selection


@pytest.mark.parametrize("name", [name for name in CATALOG.files("recipes") if name.startswith("semirobust")])
def test_trials_end_once_they_are_as_good_as_the_robust_network_less_kappa(name):
    recipe = CATALOG.recipe(name)
    assert (recipe.selection.until, recipe.selection.kappa) == (recipe.start.model, 0.05)


def test_what_is_ours_says_so():
    for size in ("small", "medium"):
        card = CATALOG.model(f"robnet-{size}-cifar10")
        assert card.arch.args["cells"] == f"{size}-ours"
        assert "OURS" in card.title
        assert "never released" in card.note
    assert "OURS" in CATALOG.model("robnet-large-denoise-cifar10").note
    for name in SEPARATE:
        assert "OURS, since the table gives no more than the name" in CATALOG.model(name).note
    for name in UNTRAINED:
        assert "--weights" in CATALOG.model(name).note
        assert CATALOG.model(name).remedy == "no recipe makes its weights; name a file with --weights"


def test_aw_nets_and_their_baselines_are_trained_alike():
    for data in ("cifar10", "cifar100", "tiny-imagenet", "digits"):
        dynamic, static = (CATALOG.recipe(f"{kind}-{data}") for kind in ("awnet", "mtard"))
        assert dynamic.optimiser == replace(static.optimiser, shares={"router": 0.1})
        kept = {"optimiser": dynamic.optimiser, "presets": dynamic.presets, "name": dynamic.name}
        if data.startswith("cifar"):  # where the papers state other schedules
            assert (static.epochs, static.batch, static.schedule.milestones) == (300, 128, (215, 260, 285))
            assert (dynamic.epochs, dynamic.batch, dynamic.schedule.milestones) == (100, 256, (75, 90))
            kept |= {key: getattr(dynamic, key) for key in ("epochs", "batch", "schedule")}
        assert replace(static, **kept) == dynamic
    for name in (*AWNETS, *SEPARATE):
        assert CATALOG.model(name).recipe == f"awnet-{CATALOG.model(name).dataset}"
    for name in DISTILLED:
        assert CATALOG.model(name).recipe == f"mtard-{CATALOG.model(name).dataset}"


def test_aw_net_is_trained_as_its_paper_says():
    recipe = CATALOG.recipe("awnet-cifar10")
    assert (recipe.optimiser.lr, recipe.optimiser.weight_decay, recipe.optimiser.shares["router"]) == (0.1, 2e-4, 0.1)
    assert (recipe.attack.threat.eps, recipe.attack.steps, recipe.attack.rel_step) == ("8/255", 10, "1/4")
    assert (recipe.attack.start, recipe.attack.mode, recipe.selection.by) == ("normal", "eval", "w-robust")
    assert float(Fraction(recipe.selection.rel_step) * Fraction("8/255")) == pytest.approx(0.003)
    assert [CATALOG.recipe(f"awnet-{data}").objective.args["tau"] for data in ("cifar10", "cifar100", "tiny-imagenet")] == [1, 5, 5]  # fmt: skip # noqa: E501
    tiny = CATALOG.recipe("awnet-tiny-imagenet")
    assert (tiny.epochs, tiny.batch, tiny.schedule.milestones) == (50, 128, (25, 40))
    trades = CATALOG.recipe("awnet-cifar10", preset="trades")
    assert (trades.objective.use, trades.attack.loss) == ("rbench.training.objectives:trades", "kl")


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith(("awnet", "mtard"))])
def test_teachers_are_models_of_the_dataset(name):
    args, data = CATALOG.recipe(name).objective.args, CATALOG.recipe(name).data
    for teacher in (args["clean"], args["robust"]):
        card = CATALOG.model(teacher)
        assert card.recipe is not None
        assert CATALOG.recipe(card.recipe).data == data


def test_ablations_of_aw_net_differ_in_one_argument():
    for data in ("cifar10", "digits"):
        whole = CATALOG.model(f"awnet-{data}").arch
        others = [name for name in AWNETS if name.endswith(f"-{data}") and name not in (f"awnet-{data}", "awnet-l-cifar10")]  # fmt: skip # noqa: E501
        for name in others:
            arch = CATALOG.model(name).arch
            (key,) = arch.args.keys() - whole.args.keys()
            assert key in ("norms", "beta")
            assert {**whole.args, key: arch.args[key]} == arch.args
    for one, other in (("separate-net", "awnet"), ("separate-net-l", "awnet-l")):
        assert CATALOG.model(f"{one}-cifar10").arch.args == CATALOG.model(f"{other}-cifar10").arch.args
    assert CATALOG.model("separate-net-digits").arch.args == CATALOG.model("awnet-digits").arch.args
    static = CATALOG.model("mtard-digits").arch.args
    dynamic = CATALOG.model("awnet-digits").arch.args
    assert {key: value for key, value in dynamic.items() if "router" not in key} == static
