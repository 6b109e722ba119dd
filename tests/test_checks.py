import pytest
import torch
from torch import nn

import rbench
from rbench.catalog import Catalog
from rbench.checks import BATCHES, observe, success_flags
from rbench.data.digits import digits
from rbench.errors import MissingError, ModelError, UsageError
from rbench.models.linear import linear

SUITE = Catalog.find().suite("digits-linf")


def test_everything_on_the_shelves_is_sound():
    lines = rbench.check()
    text = "\n".join(lines)
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
    x, y = torch.from_numpy(data.pixels).double() / 255, torch.from_numpy(data.labels)
    model = rbench.load_model("at-digits").double().requires_grad_(False)
    flags = [success_flags(model, x, y, SUITE.threat, name, batch) for batch in BATCHES]
    assert 10 < flags[0].sum() < 250
    assert torch.equal(flags[0], flags[1])
    assert torch.equal(flags[0], flags[2])


def test_a_model_of_the_zoo_behaves_and_flips_are_counted():
    lines = rbench.check("at-digits", "digits-linf")
    for what in ("logits: finite", "deterministic", "batch-independent", "accelerated twin", "unchanged"):
        assert any(line.startswith(what) or line.endswith(what) for line in lines), what
    counts = [line for line in lines if "success flags flip between batches of 7, 64, 500 (torch.float32)" in line]
    assert len(counts) == 2
    assert all(int(line.split()[1]) <= 5 for line in counts)


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
