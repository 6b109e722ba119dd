"""Galleries: the rule that chooses samples, images against closed forms, and what a page says when none can be made."""

import hashlib
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from dom import parse
from evidence import outcomes
from PIL import Image
from safetensors.torch import save_file

import rbench
import rbench.api
import rbench.engine
import rbench.gallery
from rbench.catalog import Catalog
from rbench.cli import run as command
from rbench.data.digits import digits
from rbench.errors import AttackError, MissingError, UsageError
from rbench.planner import Variant
from rbench.report.site import choice
from rbench.report.site.exhibits import Example, Gallery, Seen
from rbench.report.site.halls import hall
from rbench.report.site.pictures import difference, factor_of, in_bytes, png
from rbench.store import Run
from rbench.types import Call, Probe

N, EPS = 40, 24 / 255
SCALE = 0.03  # of the logits, lest the softmax be all 0 and 1 and the gradient nothing
SUITE = """
version = 1
title = "shown"
dataset = "digits"
data = { use = "rbench.data.digits:digits", args = { split = "test" } }
threat = { norm = "linf", eps = "24/255" }
[probes.clean]
[probes.fgsm]
attack = { use = "rbench.attacks.fgsm:fgsm" }
[probes.pgd]
attack = { use = "rbench.attacks.pgd:pgd", args = { steps = 2, start = true } }
[probes.transfer]
attack = { use = "rbench.attacks.pgd:pgd", args = { steps = 2, start = true } }
surrogates = ["far"]
[probes.foreign]
block = 20
attack = { use = "FOLDER/code.py:foreign" }
[probes.fog]
data = { use = "rbench.data.corrupted:generated", args = { corruption = "fog", severities = [1, 5] } }
[scores.clean]
use = "rbench.metrics:accuracy"
of = ["clean"]
[scores.fgsm]
use = "rbench.metrics:accuracy"
of = ["fgsm"]
"""
RANDOM = """
version = 1
title = "random"
dataset = "digits"
draws = 3
data = { use = "rbench.data.digits:digits", args = { split = "test" } }
threat = { norm = "linf", eps = "24/255" }
[probes.clean]
block = 10
[probes.pgd]
block = 10
attack = { use = "rbench.attacks.pgd:pgd", args = { steps = 2, start = true } }
[scores.pgd]
use = "rbench.metrics:accuracy"
of = ["pgd"]
"""
CODE = """
import torch
from rbench.models.linear import Linear

class Noisy(Linear):
    def forward(self, x):
        return super().forward(x + 0.1 * torch.randn_like(x))

def noisy():
    return Noisy(3072, 10)

def foreign(model, x, y, threat, *, rng):
    noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(rng.integer()))
    return (x + threat.radius * (2 * noise - 1).sign()).clamp(0, 1)

foreign.third_party = "numpy"
"""
CARD = """
title = "{name}"
dataset = "digits"
[arch]
use = "{use}"
{args}
"""


def centroids():
    """The classifier by the nearest mean of the training images, as a linear one."""
    train = digits("train")
    x = train.pixels.reshape(len(train.labels), -1) / 255
    means = np.stack([x[train.labels == k].mean(0) for k in range(10)])
    return SCALE * means, -SCALE * (means**2).sum(1) / 2


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shelf")
    for name in ("suites", "model_zoo/weights"):
        (folder / name).mkdir(parents=True)
    (folder / "code.py").write_text(CODE)
    (folder / "suites" / "shown.toml").write_text(SUITE.replace("FOLDER", str(folder)))
    (folder / "suites" / "random.toml").write_text(RANDOM)
    lines = []
    args = "args = { features = 3072, classes = 10 }"
    near, noisy = "rbench.models.linear:linear", f"{folder}/code.py:noisy"
    for name, use, given, turn in (("near", near, args, 0), ("noisy", noisy, "", 0), ("far", near, args, 1)):
        (folder / "model_zoo" / f"{name}.toml").write_text(CARD.format(name=name, use=use, args=given))
        weight, bias = (torch.from_numpy(array).float() for array in centroids())
        path = folder / "model_zoo" / "weights" / f"{name}.safetensors"
        save_file({"classifier.weight": weight.roll(turn, 1), "classifier.bias": bias}, path)
        lines.append(f'{name} = "{hashlib.sha256(path.read_bytes()).hexdigest()}"\n')
    (folder / "model_zoo" / "weights.lock").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def runs(shelf, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    for model, suite in (("near", "shown"), ("noisy", "random")):
        rbench.evaluate(model, suite, limit=N, batch=20, runs=runs, catalog=Catalog((shelf,)))
    return runs


@pytest.fixture(scope="module")
def out(shelf, runs, tmp_path_factory):
    return made(shelf, runs, tmp_path_factory.mktemp("out"))


def made(shelf, runs, out, gallery=3):
    rbench.site(runs, out, gallery=gallery, catalog=Catalog((shelf,)))
    return out


def page(out, model="near"):
    return parse((out / "models" / f"{model}.html").read_bytes())


def cards(out, wing, model="near"):
    """The figures of the wing whose title begins so."""
    (found,) = [part for part in page(out, model).every("details") if part.one("summary").text.startswith(wing)]
    return found.every("figure")


def pixels(out, picture):
    """What a browser is given, [C, H, W], as bytes."""
    image = Image.open(io.BytesIO((out / "models" / picture.attributes["src"]).read_bytes())).convert("RGB")
    return np.asarray(image).transpose(2, 0, 1)


def held(runs, probe, suite="shown", model="near"):
    return Run(next((runs / suite / model).iterdir())).outcomes(probe)


def number(card):
    return int(card.one("strong").text.partition("ample ")[2].partition(",")[0])


def test_the_images_of_fgsm_on_a_linear_model_are_the_closed_form(out, runs):
    weight, bias = centroids()
    data, stored = digits("test"), held(runs, "fgsm")
    shown = cards(out, "fgsm fools")
    assert len(shown) == 4
    for card in shown:
        sample = number(card)
        x = data.pixels[sample] / 255
        logits = weight @ x.ravel() + bias
        chance = np.exp(logits - logits.max())
        slope = (chance / chance.sum() - np.eye(10)[data.labels[sample]]) @ weight
        moved = EPS * np.sign(slope).reshape(x.shape)
        clean, changed, delta = (pixels(out, picture) for picture in card.every("img"))
        assert (clean == data.pixels[sample]).all()
        adversarial = np.clip(x + moved, 0, 1)
        assert (changed == np.round(255 * adversarial)).all()
        assert "difference x 5" in card.text  # 10 * 24/255 is more than half of the range
        assert (delta == np.clip(128 + np.round(255 * 5 * (adversarial - x)), 0, 255)).all()
        (row,) = np.flatnonzero(stored.sample == sample)
        fate = "withstood" if stored.correct[row] else f"taken for {stored.pred[row]}"
        assert card.one("strong").text == f"Sample {sample}, class {data.labels[sample]}, {fate}"
        assert f"L-inf distance {stored.distance[row]:.4g}, margin {stored.margin[row]:.3g}" in card.text
        said = card.every("img")[1].attributes["alt"]
        assert said.endswith(f"under fgsm: predicted {stored.pred[row]}, L-inf distance {stored.distance[row]:.4g}")


@pytest.mark.parametrize("probe", ["pgd", "transfer", "foreign"])
def test_random_starts_surrogates_and_other_packages_attacks_come_out_as_in_the_run(out, probe):
    assert len(cards(out, f"{probe} fools")) >= 1
    text = page(out).text
    assert f"{probe} made anew" not in text
    assert "No images of" not in text


def test_random_models_are_judged_by_the_draws_of_the_run(out):
    count = len(cards(out, "pgd fools", "noisy"))
    assert count >= 3
    assert f"{count} of {count} images made anew have the class, margin and distance" in page(out, "noisy").text


def test_the_corruption_shown_is_the_least_that_breaks_the_sample(out, runs):
    (card,) = cards(out, "1 of 1 corruptions")
    clean, fog = held(runs, "clean"), held(runs, "fog")
    right = set(clean.sample[clean.correct])
    wrong = {(int(s), int(g)) for s, g in zip(fog.sample[~fog.correct], fog.group[~fog.correct], strict=True)}
    broken = {sample for sample, _ in wrong if sample in right}
    first = min(broken, key=lambda sample: hashlib.sha256(b"%d" % sample).hexdigest())
    severity = min(group for sample, group in wrong if sample == first)
    assert card.one("strong").text.startswith(f"fog, severity {severity}: sample {first}, class")
    assert f"breaks {len(broken)} of the {len(right)} samples" in card.text
    from rbench.data.corrupted import generated

    view = generated(digits("test"), 0, corruption="fog", severities=(1, 5))
    before, changed, _ = (pixels(out, picture) for picture in card.every("img"))
    assert (before == digits("test").pixels[first]).all()
    assert (changed == view.images(np.array([first]), severity)[0, 0]).all()


@pytest.mark.parametrize(
    ("probe", "model"), [("pgd", "near"), ("transfer", "near"), ("foreign", "near"), ("pgd", "noisy")]
)
def test_each_image_is_of_its_sample_and_as_far_from_it_as_is_said(out, probe, model):
    for card in cards(out, f"{probe} fools", model):
        clean, changed, _ = (pixels(out, picture).astype(int) for picture in card.every("img"))
        assert (clean == digits("test").pixels[number(card)]).all()
        said = 255 * float(re.search(r"distance ([\d.]+)", card.text)[1])
        assert abs(np.abs(changed - clean).max() - said) <= 0.6  # half a byte is lost in a picture
        assert said > 1


def test_a_clean_image_is_one_file_whatever_is_done_to_it(out):
    shown = [card for wing in ("fgsm", "pgd", "foreign") for card in cards(out, f"{wing} fools")]
    files = {(number(card), card.every("img")[0].attributes["src"]) for card in shown}
    assert len(files) == len({sample for sample, _ in files}) < len(shown)


def test_images_that_are_not_those_of_the_run_are_said_to_be_others(shelf, runs, out, tmp_path):
    first, second, third, _ = map(number, cards(out, "fgsm fools"))
    copy = shutil.copytree(runs, tmp_path / "runs")
    rows = held(copy, "fgsm")
    place = {sample: int(np.flatnonzero(rows.sample == sample)[0]) for sample in (first, second, third)}
    pred, margin, distance = rows.pred.copy(), rows.margin.copy(), rows.distance.copy()
    pred[place[first]] = other = next(
        k for k in range(10) if k not in (rows.pred[place[first]], rows.label[place[first]])
    )
    margin[place[second]] -= 0.01
    distance[place[third]] -= 1e-4
    write(copy, "fgsm", replace(rows, pred=pred, margin=margin, distance=distance))
    told = made(shelf, copy, tmp_path / "out")
    text = page(told).text
    assert f"fgsm made anew has another outcome than the run has of sample {first}, {second}, {third}." in text
    assert "1 of 4 images made anew have the class, margin and distance of the run" in text
    card = cards(told, "fgsm fools")[0]
    assert f"taken for {rows.pred[place[first]]}" in card.one("strong").text
    assert f"The run has: predicted {other}" in card.text
    assert "pgd made anew" not in text


def write(runs, probe, rows):
    """Put other outcomes in the place of a run's."""
    run = Run(next((runs / "shown" / "near").iterdir()))
    job = json.loads((run.folder / probe / "complete.json").read_text())["job"]
    named = SimpleNamespace(probe=SimpleNamespace(name=probe), key=job)
    shutil.rmtree(run.folder / probe)
    run.commit(named, rows)
    run.complete(named, N, ())


def curated(shelf, runs, model="near", suite="shown"):
    """The gallery of one run."""
    catalog, variant = Catalog((shelf,)), Variant(limit=N)
    with rbench.gallery.curator(catalog, runs, 1) as curate:
        return curate(variant.apply(catalog.suite(suite)), model, variant)


def test_the_page_says_why_there_are_no_images_and_the_report_is_written(shelf, runs, tmp_path):
    changed = shutil.copytree(shelf, tmp_path / "shelf")
    weights = changed / "model_zoo" / "weights" / "near.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b" ")
    (changed / "model_zoo" / "weights" / "noisy.safetensors").unlink()
    told = made(changed, runs, tmp_path / "out", 1)
    assert re.search(r"No images: .*near.safetensors has sha256", page(told).text)
    assert "No images: the weights of 'noisy' do not exist yet" in page(told, "noisy").text
    for model in ("near", "noisy"):
        assert not page(told, model).every("img")
        assert page(told, model).one("table", class_="list scores")
    assert (told / "index.html").is_file()


def test_data_that_are_gone_or_others_are_the_reason(shelf, runs, tmp_path, monkeypatch):
    copy = shutil.copytree(runs, tmp_path / "runs")
    manifest = next(copy.glob("shown/near/*/manifest.json"))
    pinned = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**pinned, "data": "0" * 64}))
    found = curated(shelf, copy)
    assert found.reason.startswith("data changed since the run")
    assert found.reason.endswith(f"rbench eval --suite shown --model near --limit {N} --fresh.")
    manifest.write_text(json.dumps({**pinned, "rbench": "0.0.1"}))  # another version moves nothing by itself
    assert not curated(shelf, copy).reason

    def gone(suite):
        raise MissingError("no images in data/; add --download.")

    monkeypatch.setattr(rbench.gallery, "dataset_of", gone)
    assert curated(shelf, runs).reason == "no images in data/; add --download."


def test_an_attack_that_fails_takes_only_its_own_images_along(shelf, runs, monkeypatch):
    whole = rbench.engine.run_blocks

    def failing(bench, job, group):
        if job.probe.name == "pgd":
            raise AttackError("it crashed.")
        return whole(bench, job, group)

    monkeypatch.setattr(rbench.engine, "run_blocks", failing)
    found = {series.choice.probe.name: series for series in curated(shelf, runs).series}
    assert found.pop("pgd").reason == "it crashed."
    assert [len(series.examples) > 0 for series in found.values()] == [True] * 4
    (warning,) = [
        line for wing in hall(Gallery(tuple(curated(shelf, runs).series)), "L-inf").wings for line in wing.warnings
    ]
    assert warning == "No images of pgd: it crashed."


def test_nothing_is_made_where_nothing_could_be_written_or_is_asked_for(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(rbench.gallery, "curator", lambda *_, **__: pytest.fail("made images"))
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something else"):
        rbench.site(runs, tmp_path, gallery=1)
    with pytest.raises(UsageError, match="gallery = -1"):
        rbench.site(runs, tmp_path / "out", gallery=-1)


def test_the_command_line_asks_for_as_many(monkeypatch, tmp_path, capsys):
    asked = []
    monkeypatch.setattr(rbench.api, "site", lambda *words, **options: asked.append((words, options)) or "index.html")
    line = ["report", "runs", "--html", "out"]
    assert command(line) == command([*line, "--gallery", "8", "--data-dir", "data", "--quiet"]) == 0
    assert [options["gallery"] for _, options in asked] == [0, 8]
    assert [options["progress"] for _, options in asked] == [True, False]
    assert [options["data_dir"] for _, options in asked] == [None, Path("data")]
    assert command([*line, "--gallery", "-1"]) == 3


def fooled(correct, distance, count):
    return choice._fooled(Probe("a", attack=Call("x:y")), outcomes(correct, distance=distance), count)


def test_attacks_choose_the_first_fooled_by_hash_and_one_that_withstood():
    correct, distance = np.ones(12, bool), np.full(12, 0.1)
    correct[[0, 2, 3, 5, 7, 11]] = False
    distance[[5, 7]] = 0.0  # wrong by themselves, and so not attacked
    found = fooled(correct, distance, 3)
    assert (found.wrong, found.right) == (4, 10)
    # echo -n 3 | sha256sum begins with 4e07, that of 11 with 4fc8, 0 with 5fec, 2 with d473; 9 is right, with 1958
    assert found.shown == ((3, 0), (11, 0), (0, 0), (9, 0))
    assert fooled(~correct[:1], distance[:1], 3).shown == ((0, 0),)
    assert fooled(correct[5:6], distance[5:6], 3).shown == ()


def test_corruptions_choose_the_first_sample_right_when_clean_at_its_least_severity():
    clean = outcomes([True, True, False, True])
    # Severities 1, 3 and 5 of samples 0 to 3. By hash, 3 comes first (4e07), then 0 (5fec), 1 (6b86) and 2 (d473).
    rows = outcomes([1, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 1], group=np.repeat([1, 3, 5], 4))
    rows = replace(rows, sample=np.tile(np.arange(4), 3))
    probe = Probe("fog", data=Call("x:y", {"corruption": "fog"}))
    found = choice._broken(probe, rows, clean)
    assert (found.wrong, found.right, found.shown) == (2, 3, ((0, 3),))
    assert choice._broken(probe, replace(rows, pred=rows.label), clean).shown == ()


def test_diagnosis_sequences_and_corruptions_without_clean_images_are_not_shown():
    asked = [Probe("clean"), Probe("a", attack=Call("x:y")), Probe("diag-a", attack=Call("x:y"))]
    asked += [
        Probe("fog", data=Call("x:y", {"corruption": "fog"})),
        Probe("walk", data=Call("x:y", {"transform": "z"})),
    ]
    run = SimpleNamespace(outcomes=lambda name: outcomes([False], distance=[0.1]) if name != "none" else None)

    def names(probes):
        return [found.probe.name for found in choice.choices(SimpleNamespace(probes=probes), run, 1)]

    assert names(asked) == ["a", "fog"]
    assert names(asked[1:]) == ["a"]
    assert names([*asked[:1], Probe("none", attack=Call("x:y"))]) == []


@pytest.mark.parametrize(
    ("change", "factor"), [(0.0, 100), (8 / 255, 10), (24 / 255, 5), (0.05 + 1e-8, 10), (0.25, 2), (1, 0.5)]
)
def test_differences_are_magnified_to_half_of_the_range_at_most(change, factor):
    assert factor_of(change) == factor


def test_pictures_hold_the_bytes_of_images():
    image = np.random.default_rng(0).integers(0, 256, (3, 5, 7), dtype=np.uint8)
    for pixels in (image, image[:1], np.repeat(image[:1], 3, 0)):
        decoded = np.asarray(Image.open(io.BytesIO(png(pixels))).convert("RGB")).transpose(2, 0, 1)
        assert (decoded == np.broadcast_to(pixels, (3, 5, 7))).all()
    assert (in_bytes(image / 255) == image).all()
    seen = Seen(0, 0.0, 0.0)
    moved = Example(0, 0, 0, np.array([0.5, 0.5, 0.5]), np.array([0.5, 0.6, 0.0]), seen, seen)
    assert list(difference(moved, 2)) == [128, 128 + 51, 0]


def test_rounding_is_no_difference_and_anything_more_is():
    seen = Seen(3, -2.0, 0.1)
    assert seen.agrees(Seen(3, -2.0001, 0.1))
    assert not seen.agrees(Seen(3, -2.001, 0.1))
    assert not seen.agrees(Seen(3, -2.0, 0.1001))
    assert not seen.agrees(Seen(4, -2.0, 0.1))
