"""Names of collections, torchvision's models, and what is said where a name or a model does not fit."""

import json
import subprocess
import sys

import pytest
import torch
import torchvision.models as zoo
from caches import in_torch, named, suite_of
from torchvision.transforms import functional

import rbench
from rbench import hubs
from rbench.errors import MissingError, ModelError, UsageError
from rbench.hubs.wrapping import Resize, wrapped
from rbench.planner import Variant
from rbench.subject import subject_of

SMALL = "torchvision:shufflenet_v2_x0_5"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch"


@pytest.fixture
def small():
    torch.manual_seed(1)
    return zoo.shufflenet_v2_x0_5(num_classes=1000).eval()


def test_a_wrapped_model_sees_standardised_images_of_its_own_size():
    x = torch.rand(2, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    seen = []
    net = torch.nn.Module()
    net.forward = lambda images: seen.append(images) or images
    wrapped(net, {}, size=(8, 10), mean=[0.1, 0.2, 0.3], std=[0.5, 0.6, 0.7])(x)
    wanted = functional.normalize(functional.resize(x, [8, 10], antialias=True), [0.1, 0.2, 0.3], [0.5, 0.6, 0.7])
    assert torch.allclose(seen[0], wanted, atol=1e-6)


def test_images_of_the_right_size_are_left_alone_and_bicubic_sums_stay_in_the_box():
    steps = (torch.arange(12) % 4 < 2).float().expand(1, 3, 12, 12)
    assert Resize((12, 12), "bicubic")(steps) is steps
    larger = Resize((48, 48), "bicubic")(steps)
    assert (larger.min(), larger.max()) == (0, 1)
    assert not torch.allclose(larger, Resize((48, 48), "bilinear")(steps), atol=1e-3)


def test_an_untrained_model_is_evaluated_with_the_classes_of_the_suite_and_its_origin_is_kept(suite):
    run = rbench.evaluate(f"{SMALL}@random", "quick", limit=4, probes=("clean",), catalog=suite())
    assert run.scores["clean"].n == 4
    assert run.folder.parent.name == "torchvision-shufflenet_v2_x0_5-random"
    manifest = json.loads((run.folder / "manifest.json").read_text())
    assert manifest["arch"] == {
        "use": "rbench.hubs.torchvision:build", "args": {"name": "shufflenet_v2_x0_5", "classes": 10},
    }  # fmt: skip
    told = manifest["provenance"]
    assert (told["weights"], told["classes"], told["size"]) == ("random", 10, [224, 224])
    assert told["mean"] == [0.485, 0.456, 0.406]


def test_an_untrained_model_is_the_same_in_every_process(suite):
    subject = subject_of(suite(), f"{SMALL}@random", Variant(), suite().suite("quick"))
    torch.rand(3)  # whatever was drawn before
    state = torch.random.get_rng_state()
    assert subject.load()(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    torch.random.set_rng_state(state)
    subject_of(suite(), f"{SMALL}@random", Variant(), suite().suite("quick"))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_weights_come_from_the_cache_of_torch_with_their_digest(home, small, monkeypatch):
    place = in_torch(home, "shuffle", small.state_dict())
    monkeypatch.setattr(zoo.ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1.value, "url", place.url)
    subject = named(SMALL)
    assert subject.provenance["sha256"] == place.sha256
    assert subject.provenance["weights"] == "IMAGENET1K_V1"
    x = torch.rand(2, 3, 224, 224)
    wanted = small(functional.normalize(x, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    assert torch.allclose(subject.load()(x), wanted, atol=1e-5)
    (file,) = (home / "hub" / "checkpoints").iterdir()
    small.fc.bias.data += 1
    torch.save(small.state_dict(), file)
    with pytest.raises(MissingError, match=rf"{file} has sha256 .*its name says {place.sha256[:8]}"):
        subject.load()


def test_weights_that_are_not_there_are_never_fetched_unasked(home, monkeypatch):
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: pytest.fail("it was fetched"))
    with pytest.raises(MissingError, match=rf"add --download, or put https://.*\.pth at {home}/hub/checkpoints/"):
        named(SMALL)


def test_weights_that_are_missing_are_fetched_if_the_user_says_so(home, small, monkeypatch):
    place = in_torch(home, "shuffle", small.state_dict())
    (file,) = (home / "hub" / "checkpoints").iterdir()
    content = file.read_bytes()
    file.unlink()
    monkeypatch.setattr(zoo.ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1.value, "url", place.url)
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda _url, path, **_: file.write_bytes(content))
    monkeypatch.setenv("RBENCH_DOWNLOAD", "1")
    assert named(SMALL).provenance["sha256"] == place.sha256


def test_a_pickle_that_would_run_code_is_not_read(home, tmp_path, monkeypatch):
    class Code:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    place = in_torch(home, "shuffle", {"weight": Code()})
    monkeypatch.setattr(zoo.ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1.value, "url", place.url)
    with pytest.raises(MissingError, match="not a checkpoint that can be read safely"):
        named(SMALL)
    assert not (tmp_path / "ran").exists()


def test_a_web_page_in_the_place_of_weights_is_said_to_be_one(home):
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / zoo.ShuffleNet_V2_X0_5_Weights.DEFAULT.url.rpartition("/")[2]).write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(MissingError, match="is an HTML page"):
        named(SMALL)


@pytest.mark.parametrize(
    ("name", "error", "sentence"),
    [
        ("torchvision:resnet81", UsageError, r"no model named 'resnet81' in torchvision .*Did you mean 'resnet18'\?"),
        ("torchvision:resnet18@IMAGENET1K_V9", UsageError, "no weights named 'IMAGENET1K_V9'.*Did you mean 'IMAGENET1"),
        ("torchvision:", UsageError, "'torchvision:' names no model; write torchvision:NAME"),
        ("torchvison:x", UsageError, r"no collection of models named 'torchvison'. Did you mean 'torchvision'\?"),
        ("torchvision:resnet18", ModelError, r"tells 1,000 classes apart, 'digits' of .* has 10\. .*18@random, unt"),
        ("mine.safetensors", UsageError, r"mine.safetensors is a checkpoint.*--arch CARD"),
    ],
)  # fmt: skip
def test_what_cannot_be_evaluated_is_said_with_the_remedy(name, error, sentence):
    with pytest.raises(error, match=sentence):
        named(name, suite_of())


def test_a_model_of_another_dataset_is_refused():
    with pytest.raises(UsageError, match="'robustbench:x' classifies 'cifar10', suite 'digits-linf' holds 'digits'"):
        hubs.fit("robustbench:x", suite_of(), 10, "cifar10")


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("timm:x", "timm", "timm"), ("hf:a/b", "huggingface_hub", "hf"), ("robustbench:x", "robustbench", "robustbench")],
)
def test_a_package_that_is_not_installed_is_named_with_its_extra(name, package, extra, monkeypatch):
    monkeypatch.setattr(hubs, "find_spec", lambda _: None)
    with pytest.raises(MissingError, match=rf"'{package}' is not installed; run: pip install 'rbench\[{extra}\]'"):
        named(name)


def test_names_are_read_without_the_packages():
    code = "import sys; from rbench import hubs; hubs.call_of('mine.py:build', None); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
