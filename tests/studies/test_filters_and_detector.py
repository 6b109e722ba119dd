"""What routers detect, and how filters are distributed: rows by hand, and files by the command."""

import dynamic
import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from rbench import studies
from rbench.analysis.asked import Asked
from rbench.analysis.detector import ATTACKS, detector
from rbench.analysis.filters import filters
from rbench.cli import run as command
from rbench.data.digits import digits
from rbench.errors import UsageError
from rbench.models.linear import linear
from rbench.rng import Draws
from rbench.types import Threat

THREAT = Threat("linf", "24/255")


@pytest.mark.parametrize(("sign", "expected"), [(1.0, 1.0), (-1.0, 0.0)])
def test_a_detector_that_knows_the_images(sign, expected, monkeypatch):
    """A head that knows clean images by heart finds them all, or the other way round none."""
    model = dynamic.net().eval().requires_grad_(False)
    heart = torch.from_numpy(digits("test").images(np.arange(12))).float().flatten(1) / 255

    def type_logits(x):
        strange = torch.cdist(x.flatten(1), heart).min(1).values
        return sign * torch.stack([strange, -strange], 1)

    monkeypatch.setattr(model, "type_logits", type_logits)
    rows = list(detector(model, Asked(digits("test"), THREAT, 12)))
    assert [row["attack"] for row in rows] == list(ATTACKS) == ["fgsm", "pgd-trades", "cw30"]
    assert all(row["n"] == 12 and row["low"] <= row["auc"] <= row["high"] for row in rows)
    assert [row["auc"] for row in rows] == [expected] * 3


@pytest.mark.parametrize("make", [dynamic.net, dynamic.separate])
def test_the_area_is_of_the_scores_of_the_same_images(make, monkeypatch):
    model, seen = make().eval().requires_grad_(False), []
    original = model.type_logits
    monkeypatch.setattr(model, "type_logits", lambda x: seen.append(original(x)) or seen[-1])
    rows = list(detector(model, Asked(digits("test"), THREAT, 10)))
    clean, *attacked = [(kinds[:, 1] - kinds[:, 0]).numpy() for kinds in seen]
    for row, scores in zip(rows, attacked, strict=True):
        labels = np.repeat([1, 0], 10)
        assert row["auc"] == pytest.approx(roc_auc_score(labels, np.concatenate([clean, scores])))


@pytest.mark.parametrize("name", ["pgd-trades", "cw30"])
def test_images_that_have_fallen_are_attacked_to_the_end(name):
    """An image that is wrong from the start is scored where all the steps lead, not at the random start."""
    model = dynamic.net().eval().requires_grad_(False)
    ids = torch.arange(4)
    x = torch.from_numpy(digits("test").images(ids.numpy())).float() / 255
    y = model(x).argmin(1)
    start, end = (ATTACKS[name](model, x, y, THREAT, rng=Draws(0, name, ids), **less) for less in ({"steps": 0}, {}))
    losses = [torch.nn.functional.cross_entropy(model(images), y, reduction="none") for images in (start, end)]
    assert (losses[1] > losses[0] + 1e-4).all()


def test_detectors_need_a_head_and_a_threat():
    with pytest.raises(UsageError, match="Linear has no type head to ask; a detector has the hook 'type_logits'"):
        list(detector(linear(3072, 10), Asked(digits("test"), THREAT, 4)))
    with pytest.raises(UsageError, match="choose a suite with a threat"):
        list(detector(dynamic.net().eval().requires_grad_(False), Asked(digits("test"), None, 4)))


def test_filters_of_a_static_network_are_means_of_weights(small_net):
    rows = list(filters(small_net, Asked(digits("test"), THREAT, 4)))
    weights = [part.weight for part in small_net.modules() if isinstance(part, torch.nn.Conv2d) and part.weight.shape[2] == 3]  # fmt: skip # noqa: E501
    assert {row["condition"] for row in rows} == {"static"}
    expected = torch.cat([weight.mean((1, 2, 3)) for weight in weights])
    assert [row["weight"] for row in rows] == pytest.approx(expected.tolist(), abs=1e-6)
    assert [row["layer"] for row in rows] == [layer for layer, weight in enumerate(weights) for _ in weight]


def test_filters_of_a_router_are_scaled_by_its_codes():
    model, data = dynamic.net().eval().requires_grad_(False), digits("test")
    rows = list(filters(model, Asked(data, THREAT, 6)))
    x = torch.from_numpy(data.images(np.arange(6))).float() / 255
    scales = model.route(x)[:, 1:].mean(0).split(model.filters)
    own = [block.get_submodule(f"conv{j}").weight.mean((1, 2, 3)) for block in model.blocks for j in (1, 2)]
    expected = torch.cat([scale * mean for scale, mean in zip(scales, own, strict=True)])
    clean = [row["weight"] for row in rows if row["condition"] == "clean"]
    assert clean == pytest.approx(expected.tolist(), abs=1e-5)
    adversarial = [row["weight"] for row in rows if row["condition"] == "adversarial"]
    assert len(adversarial) == len(clean)
    assert adversarial != pytest.approx(clean, abs=1e-9)
    layers = {row["layer"] for row in rows if row["condition"] == "static"}
    assert len(layers) == 1 + 1 + 4  # the stem, and the router's own
    assert {row["condition"] for row in filters(model, Asked(data, None, 2))} == {"static", "clean"}


@pytest.mark.parametrize("name", ["detector", "filters"])
def test_they_write_data_and_figure(name, tmp_path, capsys):
    words = ["analyse", name, "--model", f"{dynamic.__file__}:net", "--suite", "digits-linf", "--limit", "8"]
    assert command([*words, "--out", str(tmp_path / "out")]) == 0
    out, err = capsys.readouterr()
    assert out.strip() == str(tmp_path / "out")
    assert "digits-linf, 8 images" in err
    assert "fog" not in err
    rows = (tmp_path / "out" / f"{name}.csv").read_text().splitlines()
    assert rows[0] == {"detector": "model,attack,auc,low,high,n", "filters": "model,layer,filter,condition,weight"}[name]  # fmt: skip # noqa: E501
    assert (tmp_path / "out" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_they_have_no_options(tmp_path):
    with pytest.raises(UsageError, match="no argument named 'rho'"):
        studies.analyse("filters", ["at-digits"], "digits-linf", limit=2, out=tmp_path, options={"rho": 0.5})
