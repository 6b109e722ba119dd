"""Trainings that end once they are as good as another model: when, by which accuracy, and after an interruption."""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
import zoo

from rbench.attacks.pgd import pgd
from rbench.bench import load_images
from rbench.catalog import Catalog
from rbench.comparison import Comparison, Trained
from rbench.errors import MissingError, StoreError, UsageError
from rbench.models.load import load_model
from rbench.recipe import Selection
from rbench.report.trial_plots import _curve
from rbench.report.trials import report
from rbench.rng import Draws
from rbench.training import goal, keeping, loop, state
from rbench.training.course import Course
from rbench.training.history import Row
from rbench.training.publish import publish
from rbench.training.run import Means, run, training
from rbench.training.setting import prepare
from rbench.trials import Arm, Measure, Study
from rbench.types import Threat

SELECTION = {"selection.threat": {"norm": "linf", "eps": "24/255"}, "selection.steps": 2, "selection.rel_step": "1/2"}
UNTIL = {"selection.until": "tiny-whole", "selection.kappa": 5.0}


@pytest.fixture(autouse=True)
def no_picture(monkeypatch):
    """Curves take longer to draw than these trainings take."""
    monkeypatch.setattr(keeping, "draw", lambda *_: b"")


@pytest.fixture
def catalog(shelf, tmp_path):
    """Two tiny models, of which the one that is to be reached has noise for weights."""
    found = Catalog((shelf,))
    publish_noise(found, 0, tmp_path)
    return found


def publish_noise(catalog, seed, folder):
    card = catalog.model("tiny-whole")
    model = prepare(card, catalog.recipe(card.recipe), seed).model
    file = folder / "noise.safetensors"
    safetensors.torch.save_file(model.state_dict(), file)
    publish(catalog, card, file)


def asked_for(catalog, out, override=UNTIL):
    return training(catalog, "tiny-plain", out, override=override)


def row(epoch, clean, robust=None):
    return Row(epoch, 0.1, 1.0, 0.0, 0.5, clean, robust, None, 1.0)


def test_a_course_is_over_with_the_first_epoch_that_reaches_what_is_wanted():
    course = Course(wanted=0.5)
    assert course.reached is False
    for epoch, (clean, robust, over) in enumerate([(0.9, 0.4, False), (0.9, 0.5, True)]):
        course.end(row(epoch, clean, robust), {"w": torch.tensor(float(epoch))})
        assert course.over(9) is over
    assert course.reached is True
    assert course.best["w"] == 1
    assert Course(rows=[row(0, 0.5)], wanted=0.5).reached  # without an attack it is the clean accuracy
    assert Course(rows=[row(0, 1.0)]).reached is None
    assert Course(rows=[row(0, 0.1)]).over(1)
    assert Course.of(course.state()) == course


def test_what_is_wanted_is_the_robust_accuracy_of_the_model_on_the_held_out_images(catalog, tmp_path):
    asked = asked_for(catalog, tmp_path, UNTIL | SELECTION)
    setting = prepare(asked.card, asked.recipe, 0)
    found = goal.goal_of(asked.card, asked.recipe, catalog)
    other = load_model(catalog.model("tiny-whole"), catalog.weights(catalog.model("tiny-whole"))[0])
    x, y = load_images(setting.data, setting.held_out, torch.device("cpu"))
    rng = Draws(0, "train/selection", torch.from_numpy(setting.held_out))
    x = pgd(other, x, y, Threat("linf", "24/255"), rng=rng, steps=2, rel_step="1/2")
    with torch.no_grad():
        expected = (other(x).argmax(1) == y).double().mean() - 0.05
    assert goal.wanted(setting, found) == pytest.approx(float(expected))
    assert found.digest == catalog.weights(catalog.model("tiny-whole"))[1]


def test_a_training_ends_with_the_epoch_that_reaches_the_goal(catalog, tmp_path, monkeypatch):
    """The weights are those of as many epochs without a goal, and a call of the finished training does nothing."""
    monkeypatch.setattr(loop, "wanted", lambda *_: 0.0)
    ticks = []
    found = run(catalog, asked_for(catalog, tmp_path), progress=False, tick=ticks.append)
    assert (len(found.rows), found.reached) == (1, True)
    assert sum(ticks) == 2  # both epochs of the recipe are done with
    assert found.summary["epochs"] == 1
    plain = run(catalog, asked_for(catalog, tmp_path, {"epochs": 1}), progress=False)
    assert plain.weights.read_bytes() == found.weights.read_bytes()
    assert plain.reached is None
    assert "reached" not in plain.summary
    monkeypatch.setattr(loop, "one_epoch", None)
    monkeypatch.setattr(loop, "wanted", None)
    assert run(catalog, asked_for(catalog, tmp_path), progress=False).rows == found.rows


def test_a_goal_that_is_not_reached_changes_no_byte(catalog, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "wanted", lambda *_: 1.1)
    found = run(catalog, asked_for(catalog, tmp_path), progress=False)
    assert (len(found.rows), found.reached) == (2, False)
    plain = run(catalog, asked_for(catalog, tmp_path, {}), progress=False)
    assert plain.weights.read_bytes() == found.weights.read_bytes()


def test_an_interrupted_training_ends_where_a_whole_one_does(catalog, tmp_path, monkeypatch):
    """Stopped in its second epoch of three, and again between its last state and its result."""
    override = UNTIL | {"epochs": 5}
    reached = run(catalog, asked_for(catalog, tmp_path, {"epochs": 5}), progress=False).rows[2].clean
    monkeypatch.setattr(loop, "wanted", lambda *_: reached)
    whole = run(catalog, asked_for(catalog, tmp_path / "whole", override), progress=False)
    assert len(whole.rows) <= 3
    original, finish = loop.step, loop.finish

    def stopped(setting, epoch, iteration, *rest):
        if (epoch, iteration) == (len(whole.rows) - 1, 2):
            raise KeyboardInterrupt
        return original(setting, epoch, iteration, *rest)

    def killed(*_):
        raise KeyboardInterrupt

    for name, broken, mended in (("step", stopped, original), ("finish", killed, finish)):
        monkeypatch.setattr(loop, name, broken)
        with pytest.raises(KeyboardInterrupt):
            run(catalog, asked_for(catalog, tmp_path / "parts", override), progress=False)
        monkeypatch.setattr(loop, name, mended)
    parts = run(catalog, asked_for(catalog, tmp_path / "parts", override), progress=False)
    assert parts.weights.read_bytes() == whole.weights.read_bytes()
    assert [each.clean for each in parts.rows] == [each.clean for each in whole.rows]


def test_states_pin_the_weights_of_the_goal_and_others_say_nothing_new(catalog, tmp_path):
    run(catalog, asked_for(catalog, tmp_path), progress=False)
    publish_noise(catalog, 7, tmp_path)  # the goal was trained anew
    with pytest.raises(StoreError, match=r"another training: until weights was .*tiny-whole"):
        run(catalog, asked_for(catalog, tmp_path), progress=False)
    card, recipe = catalog.model("tiny-whole"), catalog.recipe("tiny-whole")
    said = state.manifest(card, recipe, 0, "digest")
    assert said["selection"] == '{"rel_step": "1/2", "steps": 2, "threat": {"eps": "24/255", "norm": "linf"}}'
    assert "until weights" not in said
    changed = state.manifest(card, replace(recipe, selection=Selection(until="a", kappa=0.1)), 0, "digest")
    assert changed["selection"] == '{"kappa": 0.1, "until": "a"}'


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"selection.until": "tiny-plain"}, "ends the training of 'tiny-plain' by 'tiny-plain', which is itself"),
        ({"selection.until": "tiny-whale"}, "no model named 'tiny-whale'"),
        ({"selection.until": "far"}, "which is of another dataset: cifar10, not digits"),
        ({"selection.kappa": 0.1}, "selection.kappa = 0.1 is less than what"),
        ({"selection.until": "tiny-whole", "selection.kappa": -1.0}, "selection.kappa = -1.0 must be at least 0"),
    ],
)
def test_goals_that_make_no_sense(catalog, tmp_path, override, message):
    far = zoo.CARD.format(recipe="tiny-plain").replace('"digits"', '"cifar10"')
    (catalog.roots[0] / "model_zoo" / "far.toml").write_text(far)
    with pytest.raises(UsageError, match=message):
        run(catalog, asked_for(catalog, tmp_path, override), progress=False)


def test_a_goal_without_weights(catalog, tmp_path):
    catalog.weights(catalog.model("tiny-whole"))[0].unlink()
    with pytest.raises(MissingError, match="by 'tiny-whole': the weights of 'tiny-whole' do not exist yet"):
        run(catalog, asked_for(catalog, tmp_path), progress=False)


def test_weights_of_every_epoch_are_kept_and_move_nothing(catalog, tmp_path):
    plain = run(catalog, asked_for(catalog, tmp_path / "plain", {}), progress=False)
    kept = run(catalog, asked_for(catalog, tmp_path / "kept", {}), Means(keep_epochs=True), progress=False)
    assert kept.weights.read_bytes() == plain.weights.read_bytes()
    files = sorted((kept.folder / "epochs").iterdir())
    assert [file.name for file in files] == ["0.safetensors", "1.safetensors", "2.safetensors"]
    assert files[kept.best.epoch + 1].read_bytes() == kept.weights.read_bytes()
    fresh = prepare(catalog.model("tiny-plain"), catalog.recipe("tiny-plain"), 0).model.state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in safetensors.torch.load_file(files[0]).items())
    assert not (plain.folder / "epochs").exists()


def trained(epochs, reached):
    return Trained({"clean": np.array([0.0, 1.0])}, epochs, 0, 0.9, 0.8, 1.0, 0.0, (), reached)


def test_a_study_reports_the_epochs_to_convergence():
    arms = (Arm("some", "tiny-plain"), Arm("none", "tiny-plain", against=("some",)))
    study = Study("tiny", "Tiny", "quick", (0, 1, 2), (Measure("clean", ("clean",)),), "clean", arms)
    some = (trained(2, True), trained(5, True), trained(10, False))
    found = Comparison(study, 2, {"some": some, "none": (trained(10, False),) * 3})
    assert found.converged("some") == (2, 3.5)
    text = report(found, "protocol", [])
    rows = {line.split("|")[1].strip(): line.split("|")[-2].strip() for line in text.splitlines() if line[:1] == "|"}
    assert (rows["arm"], rows["some"], rows["none"]) == ("epochs to converge", "3.5 (2 of 3)", "- (0 of 3)")
    assert list(found.seeds_frame.epochs) == [2, 5, 10, 10, 10, 10]
    always = tuple(dataclasses.replace(each, reached=None) for each in some)
    other = Comparison(study, 2, {"some": always, "none": always})
    assert "converge" not in report(other, "protocol", [])
    assert "epochs" not in other.seeds_frame.columns


def test_curves_of_trainings_that_ended_early_stay_as_they_were():
    trainings = [[row(0, 0.5), row(1, 0.75)], [row(epoch, 0.25) for epoch in range(3)]]
    assert _curve(trainings, "clean").tolist() == [[50, 25, 25], [75, 75, 75]]
    assert _curve(trainings, "robust") is None
