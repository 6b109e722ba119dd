from functools import partial

import pytest
import torch
from torch import nn

import rbench
from rbench.catalog import Catalog
from rbench.checks import BATCHES, _flips, observe, predictions, success_flags
from rbench.data.digits import digits
from rbench.errors import MissingError, ModelError, UsageError
from rbench.models.linear import linear

SUITE = Catalog.find().suite("digits-linf")


def test_everything_on_the_shelves_is_sound():
    lines = rbench.check()
    text = "\n".join(lines)
    assert {"figure digits-curves", "study ews-digits", "search robnet-digits", "gate ews-digits"} <= set(lines)
    for name in ("suite digits-linf", "recipe ews-digits", "table digits-main"):
        assert name in text
    assert "model ews-digits: 77,850 parameters" in text
    assert "model ews-wrn34: not trained yet (rbench train ews-wrn34)" in text


def test_a_damaged_checkpoint_on_the_shelf_is_noticed(tmp_path):
    shelf = tmp_path / "model_zoo"
    (shelf / "weights").mkdir(parents=True)
    (shelf / "mine.toml").write_text(Catalog.find().files("models")["at-digits"].read_text())
    (shelf / "weights" / "at-digits.safetensors").write_bytes(b"<html>")
    (shelf / "weights.lock").write_text('mine = "00"\n')
    with pytest.raises(MissingError, match="HTML"):
        rbench.check(catalog=Catalog.find([tmp_path]))


@pytest.mark.parametrize("name", ["fgsm", "pgd20"])
def test_batches_of_7_64_and_500_give_the_same_flags_in_float64(name):
    data = digits("test")
    x, y = torch.from_numpy(data.pixels[:250]).double() / 255, torch.from_numpy(data.labels[:250])
    model = rbench.load_model("at-digits").double().requires_grad_(False)
    flags = [success_flags(model, x, y, SUITE.threat, name, batch) for batch in BATCHES]
    assert 10 < flags[0].sum() < 125
    assert torch.equal(flags[0], flags[1])
    assert torch.equal(flags[0], flags[2])


def test_a_model_of_the_zoo_behaves_and_flips_are_counted():
    lines = rbench.check("at-digits", "digits-linf")
    for what in ("logits: finite", "deterministic", "batch-independent", "accelerated twin", "unchanged"):
        assert any(line.startswith(what) or line.endswith(what) for line in lines), what
    counts = [line for line in lines if "success flags flip between batches of 7, 64, 500 (torch.float32)" in line]
    assert len(counts) == 2
    assert all(int(line.split()[1]) <= 5 for line in counts)


def test_a_suite_without_attacks_is_checked_but_for_flags():
    lines = rbench.check("at-digits", "digits-c")
    for what in ("logits: finite", "deterministic", "batch-independent", "accelerated twin", "unchanged"):
        assert any(line.startswith(what) or line.endswith(what) for line in lines), what
    flips = next(line for line in lines if line.startswith("clean: "))
    assert flips.endswith("of 500 predictions flip between batches of 7, 64, 500 (torch.float32)")
    assert int(flips.split()[1]) <= 1
    assert "attacks: suite 'digits-c' has none, so no success flag can flip" in lines
    assert not any("success flags flip" in line for line in lines)


def test_predictions_that_depend_on_the_batch_are_counted_a_sample_once():
    class Crowd(nn.Module):  # the class of its first three images is the size of the batch, of the others 0
        def forward(self, x):
            wanted = torch.where(x[:, 0, 0, 0] < 3, min(len(x), 9), 0)
            return nn.functional.one_hot(wanted, 10).float()

    x = torch.arange(500.0)[:, None, None, None]
    assert predictions(Crowd(), x, 7)[:4].tolist() == [7, 7, 7, 0]
    assert _flips(partial(predictions, Crowd(), x), "predictions", x).startswith("3 of 500 predictions flip")


class Flawed(nn.Module):
    def __init__(self, flaw):
        super().__init__()
        self.inner, self.flaw = linear(3072, 10), flaw

    def forward(self, x):
        logits = self.inner(x)
        if self.flaw == "random":
            return logits + 0.01 * torch.randn_like(logits)
        return logits - logits.mean(0) * (len(x) > 1)  # like batch norm in training mode


@pytest.mark.parametrize(
    ("flaw", "sentence"), [("random", "different logits each time"), ("batch", "company in the batch")]
)
def test_a_random_or_batch_dependent_model_is_refused(flaw, sentence):
    torch.manual_seed(0)
    with pytest.raises(ModelError, match=sentence):
        list(observe(Flawed(flaw), digits("test"), SUITE))


def test_checking_a_model_needs_a_suite():
    with pytest.raises(UsageError, match="needs a suite"):
        rbench.check("at-digits")
