import re
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from rbench.catalog import bind
from rbench.errors import ModelError
from rbench.recipe import Ews, Optimiser, Schedule
from rbench.training import curve, keeping, loop
from rbench.training.batches import epoch_order, split
from rbench.training.course import Course
from rbench.training.history import Row, as_csv, best_of
from rbench.training.pipeline import Pipeline, batches
from rbench.training.selection import measure
from rbench.training.setting import prepare
from rbench.training.step import search, step


def row(epoch, clean, robust):
    return Row(epoch, 0.1, 1.0, 0.0, 0.5, clean, robust, None, 1.0)


def test_best_epoch_is_the_most_robust_then_the_most_accurate_then_the_earliest():
    rows = [row(0, 0.9, 0.4), row(1, 0.8, 0.5), row(2, 0.9, 0.5), row(3, 0.9, 0.5), row(4, 0.99, 0.3)]
    assert best_of(rows).epoch == 2
    assert best_of(rows[:2]).epoch == 1
    assert best_of([row(0, 0.8, None), row(1, 0.9, None), row(2, 0.9, None)]).epoch == 1


def test_saved_weights_are_those_of_the_selected_epoch(card, plain, tmp_path, monkeypatch):
    scores = iter([(0.6, 0.7), (0.9, 0.6), (0.7, 0.7), (0.9, 0.5)])
    states = []

    def scripted(setting):
        states.append({key: value.clone() for key, value in setting.model.state_dict().items()})
        return next(scores)

    monkeypatch.setattr(loop, "measure", scripted)
    result = loop.train(card, plain, out=tmp_path, progress=False)
    assert result.best.epoch == 2  # as robust as epoch 0, and more accurate
    saved = safetensors.torch.load_file(result.weights)
    assert saved.keys() == states[2].keys()
    assert all(torch.equal(saved[key], states[2][key]) for key in saved)
    assert all(any(not torch.equal(saved[key], states[other][key]) for key in saved) for other in (0, 1, 3))


def test_plain_training_learns(card, plain, tmp_path):
    recipe = replace(plain, epochs=25, batch=20, optimiser=Optimiser(lr=0.1), schedule=Schedule())
    result = loop.train(card, recipe, out=tmp_path, progress=False)
    assert result.rows[-1].loss < 0.5 * result.rows[0].loss
    assert result.best.clean > 0.6
    assert result.best.robust is None
    model = bind(card.arch)()
    model.load_state_dict(safetensors.torch.load_file(result.weights))
    setting = prepare(card, recipe, 0)
    assert measure(replace(setting, model=model)) == (result.best.clean, None)


def test_measured_accuracies_agree_with_a_count_by_hand(card, recipe):
    setting = prepare(card, recipe, 0)
    pipeline = Pipeline(setting.data, setting.recipe, 0)
    for iteration in range(3):
        step(setting, 0, iteration, [pipeline[0, setting.fitted[40 * iteration : 40 * iteration + 40]]], 40)
    clean, robust = measure(setting)
    assert setting.model.training
    x = torch.from_numpy(setting.data.images(setting.held_out)).float() / 255
    right = setting.model.eval()(x).argmax(1).numpy() == setting.data.labels[setting.held_out]
    assert clean == pytest.approx(right.mean())
    assert robust <= clean
    assert measure(setting) == (clean, robust)


def test_learning_rate_falls_at_the_milestones(card, plain, tmp_path):
    recipe = replace(plain, optimiser=Optimiser(lr=0.2), schedule=Schedule(milestones=(1, 3), gamma=0.5))
    result = loop.train(card, recipe, out=tmp_path, progress=False)
    assert [row.lr for row in result.rows] == pytest.approx([0.2, 0.1, 0.1, 0.05])


def test_learning_rate_reaches_the_optimiser(card, plain):
    schedule = Schedule(milestones=(1,), gamma=0.0)
    setting = prepare(card, replace(plain, optimiser=Optimiser(lr=0.2), schedule=schedule), 0)
    asked = [(epoch, part) for epoch in range(2) for part in split(epoch_order(setting.fitted, 0, epoch), 40)]
    feed, course = batches(Pipeline(setting.data, setting.recipe, 0), asked, 0, setting.device), Course()
    weight = setting.model.stem.weight
    fresh = weight.clone()
    course.end(loop.one_epoch(setting, course, feed, lambda _steps, _text: None, []), {})
    trained = weight.clone()
    loop.one_epoch(setting, course, feed, lambda _steps, _text: None, [])
    assert not torch.equal(trained, fresh)
    assert torch.equal(weight, trained)


def test_subnets_are_searched_when_due_and_distilled_always(card, recipe, tmp_path):
    recipe = replace(recipe, ews=replace(recipe.ews, every=2))
    result = loop.train(card, recipe, out=tmp_path, progress=False)
    assert [row.subnets is not None for row in result.rows] == [False, False, True, False]
    assert all(row.distillation > 0 for row in result.rows)


def test_an_epoch_is_as_long_as_its_search_and_its_steps_by_the_clock(card, recipe, tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(loop, "clock_of", lambda _device: lambda: now[0])
    for name, costs in (("search", 8.0), ("step", 1.0), ("measure", 0.25)):
        original = getattr(loop, name)

        def slow(*args, original=original, costs=costs):
            now[0] += costs
            return original(*args)

        monkeypatch.setattr(loop, name, slow)
    rows = loop.train(card, recipe, out=tmp_path, progress=False).rows
    assert [row.search for row in rows] == [0.0, 8.0, 8.0, 8.0]  # each but the first begins with a search
    assert [row.seconds - row.search for row in rows] == [3.25] * 4  # three batches


def test_a_subnet_that_is_the_whole_network_teaches_nothing(card, recipe, tmp_path):
    recipe = replace(recipe, epochs=1, ews=Ews(rho=1.0))
    enhanced = loop.train(card, recipe, out=tmp_path / "ews", progress=False)
    bare = loop.train(card, replace(recipe, ews=None), out=tmp_path / "at", progress=False)
    assert enhanced.best.distillation == pytest.approx(0, abs=1e-6)
    assert enhanced.best.loss == pytest.approx(bare.best.loss, abs=1e-3)
    assert bare.best.distillation == 0


def test_search_sees_the_subset_in_every_pass(card, recipe, monkeypatch):
    setting = prepare(card, replace(recipe, batch=10, ews=replace(recipe.ews, passes=3)), 0)
    seen = []
    monkeypatch.setattr(setting.enhancer, "search", lambda _m, parts, _r, _e, i: seen.append((i, *parts[0])))
    search(setting, setting.enhancer, 1)
    assert [i for i, _, _ in seen] == list(range(9))
    assert [len(y) for _, _, y in seen] == [10, 10, 4] * 3
    clean = torch.from_numpy(setting.data.images(setting.searched[:10])).float() / 255
    assert 0 < (seen[0][1] - clean).abs().max() <= 24 / 255 + 1e-6  # attacked
    assert torch.equal(seen[0][1], seen[3][1])  # once for all passes: the network stays as it is
    seen.clear()
    ews = replace(setting.recipe.ews, passes=1, images="clean")
    monkeypatch.setattr(setting.enhancer, "ews", ews)
    search(setting, setting.enhancer, 1)
    assert torch.equal(seen[0][1], clean)


def test_divergence_is_an_error(card, plain, tmp_path):
    with pytest.raises(ModelError, match=r"the loss is (nan|inf) at step [12] of epoch 0 .* no state was saved before"):
        loop.train(card, replace(plain, optimiser=Optimiser(lr=1e30)), out=tmp_path, progress=False)
    assert not (tmp_path / "weights.safetensors").exists()


def test_divergence_later_names_the_last_good_state(card, plain, tmp_path):
    recipe = replace(plain, schedule=Schedule(milestones=(2,), gamma=1e30))
    message = r"the loss is (nan|inf) at step \d of epoch 2 \(learning rate 5e\+28\); the last good state is .*state.pt"
    with pytest.raises(ModelError, match=message):
        loop.train(card, recipe, out=tmp_path, progress=False)
    assert len(torch.load(tmp_path / "state.pt", weights_only=True)["course"]["rows"]) == 2


def test_files_of_a_training(card, recipe, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(keeping, "draw", curve.draw)
    result = loop.train(card, replace(recipe, epochs=2), out=tmp_path, progress=False)
    assert capsys.readouterr() == ("", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in result.files)
    assert (tmp_path / "metrics.csv").read_text() == as_csv(result.rows)
    header, first, second = as_csv(result.rows).splitlines()
    assert header == "epoch,lr,loss,distillation,train,clean,robust,subnets,seconds,search,parts"
    assert first.split(",")[7] == ""  # no search before the first epoch
    assert float(second.split(",")[7]) == pytest.approx(result.rows[1].subnets, rel=1e-5)
    picture = (tmp_path / "curve.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert int.from_bytes(picture[16:20], "big") >= 1000  # its width


def test_progress_is_told_on_stderr(card, plain, tmp_path, capsys):
    loop.train(card, replace(plain, epochs=2), out=tmp_path, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "tiny" in err
    assert re.search(r"0:00:00 epoch 1 loss \d\.\d\d acc \d+\.\d% held-out \d+\.\d%", err)
