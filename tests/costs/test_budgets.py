"""What budgets say of attacks against what the engine counts: never exceeded, and met where they say so."""

import inspect
import pkgutil
from functools import partial
from importlib import import_module

import pytest
import torch
from routed import Quantised, Routed

import rbench.attacks
import rbench.attacks.autoattack as aa
from rbench.costs import budgets
from rbench.costs.paper import budget
from rbench.costs.passes import Passes
from rbench.errors import UsageError
from rbench.models.linear import linear
from rbench.models.twin import Counted
from rbench.rng import Draws
from rbench.types import Call, Threat

ATTACKS = [m.name for m in pkgutil.iter_modules(rbench.attacks.__path__) if not m.name.startswith("_")]
FUNCTIONS = {name: getattr(import_module(f"rbench.attacks.{name}"), name) for name in ATTACKS}
ROUTED = [{"variant": variant, "steps": 3} for variant in ("V0", "V1", "V2", "V3", "V4", "V5", "V10")]
CASES = {  # arguments that change the count in every way that a budget knows
    "apgd": [
        {"steps": 7, "restarts": 2, "loss": "dlr", "eot": 2},
        {"steps": 5, "targets": 2, "loss": "dlr-targeted"},
        {"steps": 5, "loss": "ce-targeted"},
    ],
    "cascade": [{"steps": 4, "queries": 30}],
    "cw": [{"steps": 8, "searches": 3}],
    "deepfool": [{"steps": 4}, {"steps": 3, "candidates": 3}],
    "fab": [{"steps": 4, "restarts": 2, "targets": 2}, {"steps": 3}, {"steps": 3, "targeted": False}],
    "fgsm": [{}],
    "joint": [{"steps": 5}],
    "mifgsm": [{"steps": 4, "eot": 3}, {}],
    "noise": [{"draws": 9}],
    "pgd": [{}, {"steps": 3, "restarts": 2, "eot": 2, "start": False}],
    "routed": [*ROUTED, {"variant": "V4", "steps": 2, "shares": (0.5,)}, {"variant": "V5", "steps": 2, "points": 3}],
    "square": [{"queries": 12, "restarts": 2}],
}
EACH = [(name, args) for name, several in CASES.items() for args in several]
TINY, WIDE = Threat("linf", "1/1000000"), Threat("linf", "1/2")


def counted(name, args, *, n, eps, model=None, attack=None):
    """The passes that the engine counts for n images of an attack on four classes."""
    torch.manual_seed(1)
    model = model or (Routed(classes=4) if hasattr(FUNCTIONS[name], "needs") else linear(48, 4))
    twin = Counted(model.requires_grad_(False), lambda _: None)
    x = 0.5 + 0.2 * (torch.rand(n, 3, 4, 4) - 0.5)
    y = model(x).argmax(1)
    (attack or FUNCTIONS[name])(twin, x, y, eps, rng=Draws(0, name, torch.arange(n)), **args)
    return twin.take()


def said(name, args, classes=4):
    return budget(Call(f"rbench.attacks.{name}:{name}", args), classes)


def test_every_attack_of_the_folder_has_a_budget_and_no_other():
    public = {name for name, value in vars(budgets).items() if inspect.isfunction(value) and value.__module__ == budgets.__name__}  # fmt: skip # noqa: E501
    assert public == set(ATTACKS)
    assert CASES.keys() | {"autoattack"} == set(ATTACKS)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_budget_has_arguments_of_its_attack_with_the_same_defaults(name):
    attack = inspect.signature(FUNCTIONS[name]).parameters
    for key, parameter in inspect.signature(getattr(budgets, name)).parameters.items():
        if key != "classes":
            assert attack[key].default == parameter.default, key


@pytest.mark.parametrize(("name", "args"), EACH)
def test_a_sample_that_withstands_takes_exactly_the_budget_and_none_takes_more(name, args):
    whole = said(name, args)
    alone = counted(name, args, n=1, eps=TINY)
    assert alone[0] <= whole.forwards
    assert alone[1] <= whole.backwards
    if whole.met:
        assert alone == (whole.forwards, whole.backwards)
    for eps in (TINY, WIDE):  # in the wide ball all but some fall at once
        forwards, backwards = counted(name, args, n=3, eps=eps)
        assert 0 < forwards <= 3 * whole.forwards
        assert backwards <= 3 * whole.backwards


def test_only_attacks_that_stop_early_say_at_most():
    loose = {name for name, args in EACH if not said(name, args).met}
    assert loose == {"cascade", "cw", "deepfool", "routed"}
    assert {args["variant"] for name, args in EACH if name == "routed" and not said(name, args).met} == {"V3"}


def test_the_cascade_reaches_one_maximum_on_honest_models_and_the_other_on_masked_ones():
    args = {"steps": 4, "queries": 500}
    whole = said("cascade", args)
    assert counted("cascade", args, n=1, eps=TINY)[1] == whole.backwards
    steps = Threat("linf", "1/16")  # half of what an eighth needs: rounded pixels jump, and their gradient is zero
    assert counted("cascade", args, n=1, eps=steps, model=Jumping(4))[0] == whole.forwards
    assert not whole.met


class Jumping(Quantised):
    """Pixels rounded to eighths, class 0 by far: squares gain, gradients and the attack as a whole do not."""

    def forward(self, x):
        return super().forward(x) + x.new_tensor([60.0, 0, 0, 0])


def test_deepfool_and_cw_take_all_their_steps_where_they_get_nowhere():
    """No direction helps, so no walk ends; what stops C&W is that its objective stands still."""
    model = linear(48, 4)
    with torch.no_grad():
        model.classifier.weight.zero_()
    whole = said("deepfool", {"steps": 4})
    assert counted("deepfool", {"steps": 4}, n=1, eps=TINY, model=model) == (whole.forwards, whole.backwards)
    falling = {"steps": 5, "searches": 2, "lr": 1e-3, "constant": 1.0}  # always better, never there
    whole = said("cw", falling)
    assert counted("cw", falling, n=1, eps=TINY) == (whole.forwards, whole.backwards)


@pytest.mark.parametrize("version", ["standard", "rand"])
def test_autoattack_is_its_parts(version, monkeypatch):
    """With small parts on both sides; what the parts take is tested above."""
    few = {"apgd": {"steps": 3}, "fab": {"steps": 2}, "square": {"queries": 5}}
    for name, args in few.items():
        monkeypatch.setattr(aa, name, partial(FUNCTIONS[name], **args))
        monkeypatch.setattr(budgets, name, partial(getattr(budgets, name), **args))
    for module in (aa, budgets):
        monkeypatch.setattr(module, "DRAWS", 2)
    whole = said("autoattack", {"version": version})
    assert counted("autoattack", {"version": version}, n=1, eps=TINY) == (whole.forwards, whole.backwards)
    assert whole.met


def test_budgets_as_published():
    """Counted by hand: AutoAttack on ten classes asks once for their number, and looks at what each part found."""
    parts = (1 + 101, 101), (1 + 9 * 101, 9 * 101), (1 + 9 * 200, 9 * 100), (1 + 5000, 0)
    by_hand = 1 + sum(forwards + 1 for forwards, _ in parts), sum(backwards for _, backwards in parts)
    assert said("autoattack", {}, 10) == said("autoattack", {"version": "standard"}, 1000) == Passes(*by_hand)
    assert by_hand == (7819, 1910)
    masked, honest = 1 + 26 + 4 * 28 + 101 + 1 + 901, 25 + 4 * 27 + 15 * 27
    assert said("cascade", {}) == Passes(masked, honest, met=False) == Passes(1142, 538, met=False)
    assert said("pgd", {"steps": 50, "rel_step": "1/8", "restarts": 10}) == Passes(510, 500)


def test_fewer_classes_have_fewer_targets():
    assert said("apgd", {"loss": "dlr-targeted"}, 4).backwards == 3 * 101
    assert said("apgd", {"loss": "dlr-targeted"}, 100).backwards == 9 * 101
    assert said("autoattack", {"version": "rand"}, 2).backwards == 20 * 101


@pytest.mark.parametrize(
    "use",
    ["rbench.backends.pyautoattack:apgd", "mine.py:pgd", "rbench.attacks.pgd:other", "rbench.attacks.passes:Passes"],
)
def test_nothing_is_known_of_the_attacks_of_others(use):
    assert budget(Call(use, {"steps": 3}), 10) is None
    assert said("routed", {"variant": "V8"}) is None


def test_arguments_of_a_wrong_type_are_refused():
    with pytest.raises(UsageError, match="steps = 'many'"):
        said("pgd", {"steps": "many"})
