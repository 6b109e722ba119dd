"""What is said of a model with other classes than the suite's dataset, for every way to name a model."""

import pytest
import torch
from torch import nn

import rbench
from rbench.catalog import Catalog
from rbench.classes import of_its_classes
from rbench.errors import ModelError
from rbench.sources import dataset_of
from rbench.subject import Subject
from rbench.types import Call, ModelCard

WIDE = """
import torch
from torch import nn

def wide(classes=1000):
    torch.manual_seed(0)
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, classes))

def odd():
    torch.manual_seed(0)
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Linear(2, 1000))
"""
OWN = r"a suite of the model's own dataset \(rbench ls suites\)"


@pytest.fixture
def wide(tmp_path, suite, monkeypatch):
    """The pointers to models in a file, and the catalog of the suite `quick`; a card calls one a model of digits."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wide.py").write_text(WIDE)
    suite()
    (tmp_path / "shelf" / "model_zoo").mkdir()
    card = 'title = "a card"\ndataset = "digits"\narch = { use = "wide.py:wide", args = { classes = 1000 } }\n'
    (tmp_path / "shelf" / "model_zoo" / "boastful.toml").write_text(card)
    return Catalog.find([tmp_path / "shelf"])


def failed(model, catalog, **options):
    with pytest.raises(ModelError) as error:
        rbench.evaluate(model, "quick", limit=4, probes=("clean",), workers=1, catalog=catalog, **options)
    return str(error.value)


def test_a_function_of_a_file_is_told_to_build_as_many_outputs(wide):
    text = failed("wide.py:wide", wide)
    assert text == (
        "wide.py:wide tells 1,000 classes apart, 'digits' of suite 'quick' has 10. Let wide.py:wide build a last layer "
        "of 10 outputs, or choose a suite of the model's own dataset (rbench ls suites)."
    )


def test_a_module_a_card_and_a_check_get_their_own_remedies(wide, tmp_path):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(3072, 11))
    assert "tells 11 classes apart" in failed(module, wide)
    assert "Give its last layer 10 outputs, or choose a suite" in failed(module, wide)
    state = {key: value.contiguous() for key, value in rbench.catalog.resolve("wide.py:wide")().state_dict().items()}
    torch.save(state, tmp_path / "wide.pt")
    text = failed("boastful", wide, weights=tmp_path / "wide.pt")
    assert text.startswith("model 'boastful' tells 1,000 classes apart")
    assert "Let `arch` of its card build 10 outputs" in text
    with pytest.raises(ModelError, match=r"build a last layer of 10 outputs"):
        rbench.check("wide.py:wide", "quick", catalog=wide)


def test_what_is_wrong_otherwise_keeps_its_own_sentence(wide):
    assert "returned shape [4, 3, 2, 1000]" in failed("wide.py:odd", wide)


@pytest.mark.parametrize(
    ("title", "remedy"),
    [
        ("torchvision:net@NEWEST", "Name weights of these classes, or torchvision:net@random, or choose a suite"),
        ("hf:owner/net", "Name weights of these classes, or choose a suite"),
    ],
)
def test_a_collection_whose_metadata_say_nothing_of_classes_is_told_of_weights(title, remedy):
    module = nn.Sequential(nn.Flatten(), nn.Linear(3072, 1000))
    subject = Subject("net", "", None, card=ModelCard("net", title, Call("a:b"), "digits"), module=module)
    spec = Catalog.find().suite("digits-linf")
    sentence = f"^{title} tells 1,000 classes apart.* has 10. {remedy}"
    with pytest.raises(ModelError, match=sentence), of_its_classes(subject, spec, dataset_of(spec)):
        raise ModelError("the first look")
