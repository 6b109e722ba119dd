"""Kept images: they come back inside the ball, they prove what they prove, and they spare attacks."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from quick import SUITE

from rbench import evaluate
from rbench.catalog import Catalog
from rbench.cli import run as command
from rbench.errors import AttackError, MissingError, StoreError, UsageError
from rbench.gates import GateScore
from rbench.gating import saving, snapshot
from rbench.gating.cases import Case
from rbench.gating.gate import gate
from rbench.gating.replay import LEVELS, Move, pack, replay, unpack, write
from rbench.referee import judge
from rbench.rng import Draws
from rbench.types import Threat

GATE = """
title = "Keeps what it has"
suite = "quick"
model = "at-digits"
look = 40
[scores.worst]
delta = 0.05
"""


def pair(threat, seed):
    """Images and attacked ones in [0, 1], most of them at the very edge of the ball."""
    random = np.random.default_rng(seed)
    x = torch.from_numpy(random.integers(0, 256, (4, 3, 5, 5)).astype(np.float32)) / 255
    move = torch.from_numpy(random.normal(size=x.shape)).float()
    if threat.norm == "linf":
        move = threat.radius * (torch.sign(move) if seed % 2 else move.clamp(-1, 1))
    else:
        move = threat.radius * move / move.flatten(1).norm(dim=1)[:, None, None, None]
    return x, (x + move).clamp(0, 1)


class Blind(torch.nn.Module):
    def forward(self, x):
        return torch.zeros(len(x), 2)


@given(
    st.sampled_from([Threat("linf", "8/255"), Threat("linf", "0.1"), Threat("l2", "0.5"), Threat("l2", "3")]),
    st.integers(0, 10_000),
)
@settings(max_examples=50)
def test_kept_images_lie_in_the_ball_and_within_a_level_of_what_they_were(threat, seed):
    x, x_adv = pair(threat, seed)
    moves = pack(x, x_adv)
    back = unpack(x, moves)
    judge(Blind(), x, torch.zeros(len(x), dtype=torch.int64), back, threat, classes=2, attack="replay")
    level = torch.tensor([move.scale for move in moves])[:, None, None, None] / LEVELS
    assert ((back - x_adv).abs() <= level + 1e-6).all()
    assert ((back - x).abs() <= (x_adv - x).abs() + 0.002 * level + 1e-6).all()  # towards the image


def test_a_small_and_spread_perturbation_keeps_its_size():
    x = torch.full((1, 3, 64, 64), 0.5)
    move = torch.from_numpy(np.random.default_rng(0).normal(size=x.shape)).float()
    move *= 3 / move.norm()  # in L2 each pixel moves by far less than eps
    kept = unpack(x, pack(x, x + move)) - x
    assert 0.9 * 3 < kept.norm() <= 3


def test_an_edge_of_the_ball_comes_back_as_the_edge():
    eps, x = 8 / 255, torch.full((1, 1, 2, 2), 0.5)
    x_adv = x + eps * torch.tensor([[[[1.0, -1.0], [0.0, 1.0]]]])
    (move,) = pack(x, x_adv)
    assert move.levels.tolist() == [[[LEVELS, -LEVELS], [0, LEVELS]]]
    assert torch.allclose(unpack(x, [move]), x_adv, atol=1e-7)
    (still,) = pack(x, x)
    assert (still.levels.any(), still.scale) == (False, 0)


def test_the_attack_gives_each_sample_its_own_and_others_as_they_are(tmp_path):
    file, threat, x = tmp_path / "kept.parquet", Threat("linf", "0.127"), torch.full((3, 1, 1, 2), 0.5)
    one, two = (np.array([[pair]], np.int8) for pair in ((1, -2), (127, 0)))
    write(file, {7: Move(one, 0.127), 2: Move(two, 0.127)})
    rng = Draws(0, "replay", torch.tensor([2, 5, 7]))
    shown = replay(None, x, torch.zeros(3), threat, rng=rng, file=str(file))
    moves = (shown - x).flatten(1).double().numpy()
    assert moves == pytest.approx(np.array([[0.127, 0], [0, 0], [0.001, -0.002]]), abs=1e-7)
    write(file, {2: Move(np.array([[[0, 127]]], np.int8), 0.1)})  # another file of the same name
    moves = (replay(None, x, torch.zeros(3), threat, rng=rng, file=str(file)) - x).flatten(1)
    assert moves[0].tolist() == pytest.approx([0, 0.1], abs=1e-7)
    with pytest.raises(StoreError, match=r"shape \[1, 1, 2\], not \[3, 8, 8\]"):
        replay(None, torch.zeros(3, 3, 8, 8), torch.zeros(3), threat, rng=rng, file=str(file))
    file.write_bytes(b"no parquet")
    with pytest.raises(StoreError, match="holds no kept images"):
        replay(None, x, torch.zeros(3), threat, rng=rng, file=str(file))
    with pytest.raises(MissingError, match="there are no kept images"):
        replay(None, x, torch.zeros(3), threat, rng=rng, file=str(tmp_path / "none"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A shelf with a gate whose baseline keeps its attacked images, and one whose baseline does not."""
    folder = tmp_path_factory.mktemp("replay")
    (folder / "suites").mkdir()
    suite = SUITE.format(attack="rbench.attacks.pgd:pgd", args="{ steps = 3 }", norm="linf", eps="24/255")
    (folder / "suites" / "quick.toml").write_text(suite)
    (folder / "reports" / "gates").mkdir(parents=True)
    (folder / "reports" / "gates" / "kept.toml").write_text(GATE)
    words = ["baseline", "save", "kept", "--catalog", str(folder), "--runs", str(folder / "runs"), "--quiet"]
    assert command([*words, "--keep-images", "--workers", "1"]) == 0
    assert command([*words, "--no-keep-images", "--baseline", str(folder / "bare"), "--workers", "1"]) == 0
    return folder, Catalog.find([folder])


def test_a_baseline_keeps_what_fools_it_and_what_nearly_does(made):
    folder, catalog = made
    held = snapshot.read(saving.baseline_path(catalog, "kept", None), "")
    attacks = [held.errors[probe] for probe in ("clean", "first", "second")]
    fooled = snapshot.errors_of(attacks, "any")
    clean = held.errors["clean"]
    shown = held.errors["replay"]
    assert (shown[clean > 0] == 1).all()
    assert fooled.sum() > 20
    assert abs(shown - fooled).sum() <= 0.01 * len(shown)  # but for those that rounding saves
    assert held.images == folder / "reports" / "gates" / "kept.images.parquet"
    assert held.images.stat().st_size < 500 * 3 * 32 * 32 / 3
    assert not (folder / "bare.images.parquet").exists()


def test_the_same_model_is_known_where_its_own_images_fool_it(made):
    folder, catalog = made
    with_images = gate("kept", catalog=catalog)
    without = gate("kept", baseline=folder / "bare", catalog=catalog)
    assert with_images.outcome == without.outcome == "PASS"
    (verdict,) = with_images.verdicts
    assert (verdict.drop, verdict.table.first, verdict.table.second) == (0, 0, 0)
    assert with_images.images <= without.images


def test_a_drop_is_proven_before_any_image_is_attacked(made, tmp_path):
    _, catalog = made
    found = gate("kept", model="standard-digits", catalog=catalog)
    (verdict,) = found.verdicts
    assert (found.outcome, found.images, found.passes) == ("FAIL", 0, 0)
    assert verdict.by == "one pass an image"
    assert verdict.interval[0] > 0.05
    suite = evaluate("standard-digits", "quick", catalog=catalog, scores=("worst",), runs=tmp_path)
    held = snapshot.read(saving.baseline_path(catalog, "kept", None), "")
    before = snapshot.errors_of([held.errors[probe] for probe in ("clean", "first", "second", "replay")], "any").mean()
    # The proof is no more than what the attacks find: they have the model's own gradient.
    assert verdict.interval[0] <= (1 - suite.scores["worst"].value) - before + 0.01
    assert verdict.table.first > 25


def case_of(before, delta, alpha=0.05):
    return Case(GateScore("a", delta), ("attack", "replay"), "any", before, alpha)


@given(st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from([0.07, 0.19, 0.41]))
@example(6, 8316, 0.07)  # all but one image known, and they alone prove that it fell: the last one may not undo it
@settings(max_examples=200)
def test_all_images_seen_give_the_truth_whatever_was_known_before(n, seed, delta):
    random = np.random.default_rng(seed)
    before, attack, shown = (np.array(random.random(n) < 0.4, float) for _ in range(3))
    case = case_of(before, delta, alpha=1e-9)
    case.know({"replay": shown})
    order = random.permutation(n)
    for part in np.array_split(order, 3):
        low, high = case.interval
        truth = np.maximum(attack, shown).mean() - before.mean()
        assert low - 1e-9 <= truth <= high + 1e-9
        case.see(part, {"attack": attack[part]}, {"attack": np.zeros(len(part))})
        assert not (case.passes and case.above >= 1 / case.alpha)
    assert case.known.all()
    assert case.drop == pytest.approx(truth)
    assert case.passes == (truth <= delta)
    assert (case.above == np.inf) == (truth > delta)


@pytest.mark.parametrize(("fallen", "side"), [(14, "passes"), (6, "fails")])
def test_a_wrong_decision_is_rare_when_some_images_are_known(fallen, side):
    """Of 200 images 10 may be lost; the images kept show some of those that are, and none that are not."""
    random, wrong, times = np.random.default_rng(fallen), 0, 300
    for _ in range(times):
        before = (random.permutation(200) < 40).astype(float)
        lost = random.permutation(np.flatnonzero(before == 0))[:fallen]
        now = before.copy()
        now[lost] = 1
        shown = np.where(random.random(200) < 0.4, now, 0)
        case = case_of(before, 0.0501)
        case.know({"replay": shown})
        order = random.permutation(200)
        for start in range(0, 180, 20):
            part = order[start : start + 20]
            case.see(part, {"attack": now[part]}, {"attack": np.zeros(20)})
            if case.passes if side == "passes" else case.above >= 1 / case.alpha:
                wrong += 1
                break
    assert wrong / times <= 0.05 + 3 * (0.05 * 0.95 / times) ** 0.5


def test_images_that_were_changed_or_moved_are_refused(made, tmp_path):
    folder, catalog = made
    for ending in ("json", "parquet", "images.parquet"):
        (tmp_path / f"kept.{ending}").write_bytes((folder / "reports" / "gates" / f"kept.{ending}").read_bytes())
    images = tmp_path / "kept.images.parquet"
    images.write_bytes(images.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError, match=r"kept.images.parquet is missing, or not the one of kept.json"):
        gate("kept", baseline=tmp_path / "kept", catalog=catalog)
    images.unlink()
    with pytest.raises(StoreError, match=r"kept.images.parquet is missing"):
        gate("kept", baseline=tmp_path / "kept", catalog=catalog)


def test_images_outside_the_ball_are_an_attack_that_cheats(tmp_path):
    x, threat = torch.full((1, 1, 1, 2), 0.5), Threat("linf", "0.1")
    shown = unpack(x, [Move(np.array([[[127, -128]]], np.int8), 0.1)])  # a level that `pack` never writes
    with pytest.raises(AttackError, match="left the linf ball"):
        judge(Blind(), x, torch.tensor([0]), shown, threat, classes=2, attack="replay")


def test_a_gate_without_a_worst_case_has_no_images_to_keep(made, tmp_path):
    folder, catalog = made
    (tmp_path / "reports" / "gates").mkdir(parents=True)
    (tmp_path / "reports" / "gates" / "bare.toml").write_text(GATE.replace("[scores.worst]", "[scores.clean]"))
    both = Catalog((*catalog.roots, tmp_path))
    with pytest.raises(UsageError, match="no score of the gate is an attack"):
        saving.save("bare", images=True, catalog=both, runs=folder / "runs")
    (tmp_path / "suites").mkdir()
    quick = (folder / "suites" / "quick.toml").read_text()
    (tmp_path / "suites" / "taken.toml").write_text(quick.replace("second", "replay"))
    (tmp_path / "reports" / "gates" / "bare.toml").write_text(GATE.replace('"quick"', '"taken"'))
    with pytest.raises(UsageError, match="has a probe 'replay', which is what kept images are shown by"):
        saving.save("bare", images=True, catalog=both, runs=folder / "runs")


def test_what_is_there_stays_when_a_new_baseline_fails_and_an_edited_one_does_not_lose_its_images(
    made, tmp_path, monkeypatch
):
    folder, catalog = made
    for ending in ("json", "parquet", "images.parquet"):
        (tmp_path / f"kept.{ending}").write_bytes((folder / "reports" / "gates" / f"kept.{ending}").read_bytes())
    options = {"baseline": tmp_path / "kept", "catalog": catalog, "runs": folder / "runs"}
    with monkeypatch.context() as patch:
        patch.setattr(saving, "_strongest", lambda *_: pytest.fail("memory"))
        with pytest.raises(pytest.fail.Exception):
            saving.save("kept", **options)
    assert gate("kept", baseline=tmp_path / "kept", catalog=catalog).outcome == "PASS"
    (tmp_path / "kept.json").write_text("{")
    _, before = saving.save("kept", **options)
    assert before is None
    assert snapshot.read(tmp_path / "kept", "").images == tmp_path / "kept.images.parquet"
    assert {path.name for path in tmp_path.iterdir()} == {"kept.json", "kept.parquet", "kept.images.parquet"}
