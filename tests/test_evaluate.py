"""The spine from end to end, in one process: names to scores."""

import shutil

import numpy as np
import pytest
import torch
from quick import DATA_FROM_FOLDER, contents

import rbench
from rbench import engine
from rbench.attacks.fgsm import fgsm
from rbench.catalog import Catalog
from rbench.data.digits import digits
from rbench.rng import Draws
from rbench.types import Threat


def test_scores_equal_an_evaluation_by_hand(suite, small_net):
    run = rbench.evaluate(small_net, "quick", limit=35, catalog=suite())
    data = digits("test")
    x, y = torch.from_numpy(data.pixels[:35]).float() / 255, torch.from_numpy(data.labels[:35])
    x_adv = fgsm(small_net, x, y, Threat("linf", "24/255"), rng=Draws(0, "first", torch.arange(35)))
    with torch.no_grad():
        correct = small_net(x).argmax(1) == y
        survives = correct & (small_net(x_adv).argmax(1) == y)
    frame = run.samples
    by_hand = frame[frame.probe == "first"].set_index("sample")
    assert run.scores["clean"].value == correct.float().mean()
    assert (by_hand.pred == by_hand.label).tolist() == survives.tolist()
    assert run.scores["worst"].value <= min(survives.float().mean(), run.scores["second"].value)
    assert (run.scores["clean"].n, len(frame)) == (35, 105)


def test_samples_that_are_wrong_already_are_left_alone_and_passes_are_counted(suite, small_net):
    catalog = suite(eps="1/1000000")  # so little that nobody falls, and the whole budget is spent
    frame = rbench.evaluate(small_net, "quick", limit=30, catalog=catalog).samples
    clean, second = (frame[frame.probe == probe].reset_index() for probe in ("clean", "second"))
    wrong = clean.pred != clean.label
    assert wrong.any()
    assert (~wrong).any()
    assert (second[wrong].distance == 0).all()
    assert (second[wrong].pred == clean[wrong].pred).all()
    assert (second[wrong].forwards == 0).all()
    assert (second[~wrong].forwards == 4).all()
    assert (second[~wrong].backwards == 3).all()
    assert (clean.forwards == 0).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_batch_size_subset_and_order_of_blocks_do_not_matter(suite, small_net, norm, tmp_path):
    catalog = suite(norm=norm, eps="24/255" if norm == "linf" else "2")
    net = small_net
    runs = {}
    for batch, limit in ((1, 30), (7, 30), (64, 30), (30, 20)):
        run = rbench.evaluate(
            net, "quick", limit=limit, batch=batch, catalog=catalog, runs=tmp_path / f"r{batch}-{limit}"
        )
        runs[batch] = run.samples[["probe", "sample", "pred"]].set_index(["probe", "sample"]).pred
    assert runs[1].equals(runs[7])
    assert runs[1].equals(runs[64])
    assert runs[30].equals(runs[1].loc[runs[30].index])


def test_a_half_done_group_is_computed_as_a_whole_again(suite, monkeypatch):
    """Blocks that shared a batch share it again, lest the last bits move."""
    catalog = suite()
    run = rbench.evaluate("at-digits", "quick", limit=40, batch=20, catalog=catalog)
    before = contents(run.folder)
    for name in ("complete.json", "000010.parquet"):
        (run.folder / "second" / name).unlink()
    groups = []
    original = engine.run_blocks
    monkeypatch.setattr(
        engine, "run_blocks", lambda bench, job, group: groups.append(group) or original(bench, job, group)
    )
    assert rbench.evaluate("at-digits", "quick", limit=40, batch=20, catalog=catalog).fresh_blocks == 1
    assert groups == [(range(10), range(10, 20))]
    assert contents(run.folder) == before


def test_the_count_of_workers_changes_no_byte(suite, tmp_path):
    catalog = suite()
    runs = [
        rbench.evaluate("at-digits", "quick", limit=35, batch=10, workers=k, catalog=catalog, runs=tmp_path / str(k))
        for k in (1, 3)
    ]
    assert contents(runs[0].folder) == contents(runs[1].folder)


def test_the_seed_matters_where_it_should(suite, small_net):
    a, b = (rbench.evaluate(small_net, "quick", limit=20, seed=seed, catalog=suite()).samples for seed in (0, 1))
    assert a[a.probe == "first"].margin.equals(b[b.probe == "first"].margin)
    assert not a[a.probe == "second"].margin.equals(b[b.probe == "second"].margin)


def test_a_second_call_runs_nothing_and_says_so(suite, small_net):
    first = rbench.evaluate(small_net, "quick", limit=20, catalog=suite())
    before = contents(first.folder)
    second = rbench.evaluate(small_net, "quick", limit=20, catalog=suite())
    assert (first.fresh_blocks, second.fresh_blocks) == (6, 0)
    assert contents(second.folder) == before
    assert second.scores == first.scores


def test_lost_blocks_are_run_again_to_the_same_bytes(suite, small_net):
    run = rbench.evaluate(small_net, "quick", limit=40, batch=10, catalog=suite())
    before = contents(run.folder)
    for name in ("complete.json", "000010.parquet", "000030.parquet"):
        (run.folder / "second" / name).unlink()
    again = rbench.evaluate(small_net, "quick", limit=40, batch=10, catalog=suite())
    assert again.fresh_blocks == 2
    assert contents(run.folder) == before


def test_the_users_model_comes_back_as_it_was(suite, small_net):
    small_net.train()
    small_net.blocks[0].eval()
    before = {name: value.clone() for name, value in small_net.state_dict().items()}
    rbench.evaluate(small_net, "quick", limit=20, catalog=suite())
    assert small_net.training
    assert not small_net.blocks[0].training
    assert all(p.requires_grad and p.grad is None for p in small_net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in small_net.state_dict().items())


def test_the_callers_randomness_is_not_moved(suite, small_net):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    rbench.evaluate(small_net, "quick", limit=20, catalog=suite("rbench.attacks.autoattack:autoattack", "{}"))
    assert torch.equal(torch.get_rng_state(), before)


def test_another_eps_is_another_run(suite, small_net):
    catalog = suite()
    a = rbench.evaluate(small_net, "quick", limit=30, catalog=catalog)
    b = rbench.evaluate(small_net, "quick", limit=30, eps="1/255", catalog=catalog)
    assert a.folder != b.folder
    assert b.samples.distance.max() <= 1 / 255 + 1e-6 < a.samples.distance.max()
    assert "eps = 1/255" in b.sheet.protocol[0]


def test_a_plan_says_what_is_left_and_runs_nothing(suite, tmp_path):
    catalog = suite()
    plan = rbench.plan("at-digits", "quick", limit=25, catalog=catalog)
    assert [(row["probe"], row["done"], row["left"], row["blocks"]) for row in plan] == [
        (probe, 0, 25, 3) for probe in ("clean", "first", "second")
    ]
    assert not (tmp_path / "runs").exists()
    folder = rbench.evaluate("at-digits", "quick", limit=25, catalog=catalog).folder
    (folder / "second" / "complete.json").unlink()
    (folder / "second" / "000020.parquet").unlink()
    left = {row["probe"]: row["left"] for row in rbench.plan("at-digits", "quick", limit=25, catalog=catalog)}
    assert left == {"clean": 0, "first": 0, "second": 5}


def test_other_weights_of_a_card_have_a_run_of_their_own(suite, tmp_path):
    catalog = suite()
    own, _ = catalog.weights(catalog.model("at-digits"))
    shutil.copy(own, tmp_path / "copy.safetensors")
    a = rbench.evaluate("at-digits", "quick", limit=10, catalog=catalog)
    b = rbench.evaluate("at-digits", "quick", limit=10, weights=tmp_path / "copy.safetensors", catalog=catalog)
    assert a.folder != b.folder
    assert a.samples.equals(b.samples)
    assert np.isfinite(a.samples.margin).all()


def test_another_score_needs_no_new_evidence(suite, tmp_path):
    rbench.evaluate("at-digits", "quick", limit=10, catalog=suite())
    path = tmp_path / "shelf" / "suites" / "quick.toml"
    path.write_text(path.read_text() + '[scores.both]\nuse = "rbench.metrics:worst_case"\nof = ["clean", "first"]\n')
    run = rbench.evaluate("at-digits", "quick", limit=10, catalog=Catalog.find([tmp_path / "shelf"]))
    assert run.fresh_blocks == 0
    assert run.scores["both"].n == 10


@pytest.mark.parametrize("workers", [1, 2])
def test_the_data_folder_holds_for_the_whole_evaluation(suite, tmp_path, workers):
    (tmp_path / "data.py").write_text(DATA_FROM_FOLDER)
    (tmp_path / "value").write_text("100")
    suite()
    path = tmp_path / "shelf" / "suites" / "quick.toml"
    path.write_text(path.read_text().replace("rbench.data.digits:digits", f"{tmp_path / 'data.py'}:load"))
    catalog = Catalog.find([tmp_path / "shelf"])
    run = rbench.evaluate("at-digits", "quick", data_dir=tmp_path, catalog=catalog, batch=10, workers=workers)
    assert run.scores["clean"].n == 20


def test_a_table_does_not_show_what_another_code_made(suite, monkeypatch):
    catalog = suite()
    rbench.evaluate("at-digits", "quick", limit=10, catalog=catalog)
    assert rbench.table("quick", limit=10, catalog=catalog).count("--fresh") == 0
    monkeypatch.setattr("rbench.current.source_digest", lambda use: "0" * 64)
    table = rbench.table("quick", limit=10, catalog=catalog)
    assert "rbench eval --suite quick --model at-digits --limit 10 --fresh" in table


def test_the_public_names_stay_functions():
    import rbench.training.run

    assert all(
        callable(getattr(rbench, name)) for name in ("evaluate", "train", "table", "plan", "check", "load_model")
    )
