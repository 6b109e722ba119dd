"""Analyses of subnets: what is asked of which network, and what the figures are made of."""

import numpy as np
import pytest
import torch

from rbench import analysis, studies
from rbench.analysis.blocks import blocks
from rbench.analysis.confidence import confidence
from rbench.analysis.measured import Variant, measured
from rbench.analysis.shown import BLOCK, show
from rbench.cli import run as command
from rbench.corruptions.corrupt import corrupt
from rbench.data.digits import digits
from rbench.errors import UsageError
from rbench.models.linear import linear
from rbench.studies import analyses
from rbench.types import Threat

THREAT = Threat("linf", "24/255")


def test_the_analyses_are_the_modules():
    named = ["blocks", "confidence", "dependence", "detector", "distance", "filters", "fsp", "readout"]
    assert analysis.names() == named


def test_images_are_shown_in_blocks_that_never_change(small_net):
    shown = show(small_net, digits("test"), THREAT, 2 * BLOCK + 30, "fog", 3)
    assert list(shown) == ["clean", "corrupted", "adversarial"]
    assert [len(x) for x, _ in shown["clean"]] == [BLOCK, BLOCK]  # the last 30 are too few to be normalised by
    images = torch.from_numpy(digits("test").images(np.arange(2 * BLOCK))).float() / 255
    assert torch.equal(torch.cat([x for x, _ in shown["clean"]]), images)
    foggy = corrupt(images, "fog", severity=3)
    assert torch.equal(torch.cat([x for x, _ in shown["corrupted"]]), foggy)
    moved = (torch.cat([x for x, _ in shown["adversarial"]]) - images).abs().max()
    assert 0 < moved <= 24 / 255 + 1e-6
    assert list(show(small_net, digits("test"), None, 20, "fog", 3)) == ["clean", "corrupted"]
    with pytest.raises(UsageError, match=r"1 is no block\. Ask for 2 or more"):
        show(small_net, digits("test"), THREAT, 1, "fog", 3)


def test_confidence_and_error_by_hand():
    y = torch.tensor([0, 1, 1, 0])
    x = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    shown = {"clean": [(x[:3], y[:3]), (x[3:], y[3:])]}
    (row,) = measured([Variant({"subnet": 4}, torch.log)], shown)
    assert row == {"subnet": 4, "condition": "clean", "confidence": pytest.approx(0.6), "error": 0.5}


def test_subnets_keep_half_and_the_full_network_is_one_of_them(small_net):
    x = torch.from_numpy(digits("test").images(np.arange(20))).float() / 255
    variants = confidence(small_net, rho=0.5, subnets=6)
    assert [variant.labels for variant in variants] == [{"subnet": index} for index in range(-1, 6)]
    with torch.no_grad():
        logits = [variant.network(x) for variant in variants]
    assert torch.equal(logits[0], small_net.eval()(x))
    assert all(not torch.allclose(logits[0], other) for other in logits[1:])
    again = confidence(small_net, rho=0.5, subnets=6)
    with torch.no_grad():
        assert all(torch.equal(one, variant.network(x)) for one, variant in zip(logits, again, strict=True))
        assert not torch.equal(confidence(small_net, subnets=1, seed=5)[1].network(x), logits[1])


def test_one_block_is_reduced_and_the_others_stay_whole(small_net):
    x = torch.from_numpy(digits("test").images(np.arange(20))).float() / 255
    variants = blocks(small_net, rho=0.5, subnets=3)
    assert [tuple(variant.labels.values()) for variant in variants] == [
        (-1, 0), *((block, index) for block in range(3) for index in range(3)),
    ]  # fmt: skip
    masks = {tuple(variant.labels.values()): variant.network.keywords["subnet"] for variant in variants}
    for (block, _), subnet in masks.items():
        for place, mask in enumerate(subnet):
            whole = mask.paths.sum() == 2 and mask.channels.all()
            assert whole == (place != block)
    with torch.no_grad():
        assert torch.equal(variants[0].network(x), small_net.train()(x))


def test_the_protocol_counts_the_images_that_were_shown(tmp_path):
    for models, limit, count in ((1, 130, 100), (9, 10, 10)):
        found = studies.analyse(
            "confidence", ["at-digits"] * models, "digits-linf", limit=limit, out=tmp_path, options={"subnets": 1}
        )
        assert found.protocol.startswith(f"digits-linf, {count} images; fog, severity 3")


def test_networks_without_masks_are_refused():
    for analysed in (confidence, blocks):
        with pytest.raises(UsageError, match="Linear takes no subnet masks"):
            analysed(linear(12, 10))


@pytest.mark.parametrize("name", ["confidence", "blocks"])
def test_an_analysis_writes_data_and_figure(name, tmp_path, capsys):
    words = ["analyse", name, "--model", "at-digits", "--model", "standard-digits", "--suite", "digits-linf"]
    words += ["--limit", "40", "--option", "subnets=2", "--out", str(tmp_path)]
    assert command(words) == 0
    out, err = capsys.readouterr()
    assert out.strip() == str(tmp_path)
    assert (
        "digits-linf, 40 images; fog, severity 3; PGD-20, linf, eps = 24/255; rho = 0.5, subnets = 2, seed = 0" in err
    )
    rows = (tmp_path / f"{name}.csv").read_text().splitlines()
    networks = 3 if name == "confidence" else 1 + 3 * 2
    assert len(rows) == 1 + 2 * 3 * networks
    assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / f"{name}.pdf").read_bytes()[:4] == b"%PDF"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "confidense"}, r"no analysis named 'confidense'. Did you mean 'confidence'\?"),
        ({"models": []}, "name at least one model"),
        ({"options": {"rhoo": 0.5}}, r"no argument named 'rhoo'.*'rho'"),
        ({"options": {"device": "cpu"}}, "no argument named 'device'"),
        ({"options": {"rho": 2.0}}, "rho = 2.0 must be greater than 0 and at most 1"),
        ({"options": {"subnets": 0}}, "subnets = 0 must be at least 1"),
    ],
)
def test_mistakes_are_named(given, message, tmp_path):
    asked = {"name": "confidence", "models": ["at-digits"], "options": {}} | given
    with pytest.raises(UsageError, match=message):
        studies.analyse(asked["name"], asked["models"], "digits-linf", limit=4, out=tmp_path, options=asked["options"])


def test_help_lists_all_analyses(capsys):
    assert command(["analyse", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert all(name in shown for name in analysis.names())


def test_readers_are_told_of_options_in_words():
    options = {"last": None, "published": False, "shared": True, "attacks": ("none", "fgsm"), "rho": 0.5}
    said = [analyses._said(option, value) for option, value in options.items()]
    assert said == ["", "", "shared", "attacks = none and fgsm", "rho = 0.5"]
