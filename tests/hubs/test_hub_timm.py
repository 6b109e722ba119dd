"""Models of timm, and of Hugging Face in timm's format, from files in its cache."""

import json

import pytest
import torch
from caches import COMMIT, in_hf, named, suite_of

from rbench.errors import MissingError, ModelError, UsageError

pytest.importorskip("safetensors")
timm = pytest.importorskip("timm")
hub = pytest.importorskip("huggingface_hub")
NAME = "test_byobnet.r160_in1k"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    return tmp_path / "hf"


def saved(classes):
    from safetensors.torch import save

    torch.manual_seed(2)
    net = timm.create_model("test_byobnet", num_classes=classes).eval()
    return net, save(net.state_dict())


def standardised(x, mean, std):
    return (x - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)


def test_weights_of_a_name_come_from_the_cache_and_are_standardised_as_its_settings_say(cache):
    net, content = saved(1000)
    in_hf(cache, f"timm/{NAME}", {"model.safetensors": content})
    subject = named(f"timm:{NAME}")
    assert subject.name == "timm-test_byobnet.r160_in1k"
    settings = timm.get_pretrained_cfg(NAME)
    x = torch.rand(2, 3, 160, 160)
    assert torch.allclose(subject.load()(x), net(standardised(x, settings.mean, settings.std)), atol=1e-5)
    assert subject.provenance["source"] == f"timm/{NAME}"
    assert subject.provenance["size"] == [160, 160]


def test_the_default_tag_is_written_out(cache):
    content = saved(1000)[1]
    in_hf(cache, f"timm/{NAME}", {"model.safetensors": content})
    assert named("timm:test_byobnet").arch.args == {"name": NAME}


def test_a_repository_with_its_own_classes_size_and_mean(cache):
    net, content = saved(10)
    config = {
        "architecture": "test_byobnet", "num_classes": 10,
        "pretrained_cfg": {"input_size": [3, 32, 32], "mean": [0.1, 0.2, 0.3], "std": [0.5] * 3, "num_classes": 10,
                           "interpolation": "bicubic", "first_conv": "stem.conv", "classifier": "head.fc"},
    }  # fmt: skip
    in_hf(cache, "me/net", {"model.safetensors": content, "config.json": json.dumps(config).encode()})
    subject = named("hf:me/net", suite_of())
    x = torch.rand(2, 3, 32, 32)
    assert torch.allclose(subject.load()(x), net(standardised(x, [0.1, 0.2, 0.3], [0.5] * 3)), atol=1e-5)
    assert subject.provenance["commit"] == COMMIT
    assert subject.name == "hf-me-net"


def test_an_untrained_model_has_the_classes_of_the_suite(cache):
    subject = named("timm:test_byobnet@random", suite_of())
    assert subject.load()(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_what_is_wrong_is_said_with_the_remedy(cache):
    with pytest.raises(UsageError, match=r"no model named 'test_byobnett' in timm .*Did you mean 'test_byobnet'"):
        named("timm:test_byobnett")
    with pytest.raises(ModelError, match="1,000 classes apart"):
        named(f"timm:{NAME}", suite_of())
    with pytest.raises(MissingError, match=rf"model.safetensors or .* is not in {cache}; add --download, or .*copy"):
        named(f"timm:{NAME}")
    with pytest.raises(UsageError, match="write hf:OWNER/NAME"):
        named("hf:net")
    in_hf(cache, "me/network", {"config.json": b'{"architecture": "resnet_of_2031", "num_classes": 10}',
                                "model.safetensors": b"none"})  # fmt: skip
    with pytest.raises(UsageError, match=r"no model named 'resnet_of_2031' in timm .*may need a newer timm"):
        named("hf:me/network", suite_of())
    with pytest.raises(MissingError, match=r"config.json of hf:me/netwrk.*Did you mean 'me/network', which is there"):
        named("hf:me/netwrk", suite_of())


def test_weights_that_do_not_fit_ask_for_another_version(cache):
    from safetensors.torch import save

    in_hf(cache, f"timm/{NAME}", {"model.safetensors": save({"stem.weight": torch.zeros(3)})})
    with pytest.raises(MissingError, match=r"cannot be read as timm:test_byobnet.*newer timm need one"):
        named(f"timm:{NAME}")


def test_a_pickle_that_would_run_code_is_not_read(cache, tmp_path):
    class Code:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"weight": Code()}, tmp_path / "pickle")
    in_hf(cache, f"timm/{NAME}", {"pytorch_model.bin": (tmp_path / "pickle").read_bytes()})
    with pytest.raises(MissingError, match="not a checkpoint that can be read safely"):
        named(f"timm:{NAME}")
    assert not (tmp_path / "ran").exists()


def test_a_classifier_of_transformers(cache):
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                                    image_size=32, patch_size=8, num_labels=10)  # fmt: skip
    torch.manual_seed(0)
    net = transformers.ViTForImageClassification(config).eval()
    folder = in_hf(cache, "me/vit", {})
    net.save_pretrained(folder)
    images = {
        "do_normalize": True,
        "image_mean": [0.1, 0.2, 0.3],
        "image_std": [0.5] * 3,
        "size": {"height": 32, "width": 32},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(images))
    subject = named("hf:me/vit", suite_of())
    x = torch.rand(2, 3, 32, 32)
    wanted = net(pixel_values=standardised(x, [0.1, 0.2, 0.3], [0.5] * 3)).logits
    assert torch.allclose(subject.load()(x), wanted, atol=1e-5)
