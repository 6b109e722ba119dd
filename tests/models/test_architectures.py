import importlib
import importlib.util
from pathlib import Path

import pytest
import torch
import torchvision

from rbench.errors import UsageError
from rbench.models.densenet import densenet121
from rbench.models.load import fill, read_weights
from rbench.models.preact_resnet import preact_resnet18, preact_resnet_small
from rbench.models.resnet import resnet, resnet18, resnet34, resnet50
from rbench.models.swin import swin
from rbench.models.twin import _fold
from rbench.models.vgg import vgg16_bn
from rbench.models.wide_resnet import wide_resnet

MEAN, STD = [0.5] * 3, [0.25] * 3


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        (lambda: preact_resnet18(10, MEAN, STD), 11_172_170),
        (lambda: wide_resnet(28, 10, 10, MEAN, STD), 36_479_194),
        (lambda: wide_resnet(34, 10, 10, MEAN, STD), 46_160_474),
        (lambda: preact_resnet_small(10, MEAN, STD), 77_850),
        (lambda: resnet18(10), 11_173_962),
        (lambda: resnet50(10, MEAN, STD), 23_520_842),
        (lambda: resnet50(1000, MEAN, STD, stem="imagenet"), 25_557_032),
    ],
    ids=["preact_resnet18", "wrn28-10", "wrn34-10", "small", "resnet18", "resnet50", "resnet50-imagenet"],
)
def test_parameter_counts_are_the_published_ones(build, parameters):
    with torch.device("meta"):
        assert count(build()) == parameters


def test_a_depth_that_is_no_wide_resnet_is_refused():
    with pytest.raises(ValueError, match="depth = 30"):
        wide_resnet(30, 10, 10, MEAN, STD)


@pytest.mark.parametrize(("kind", "sizes"), [("small", [16, 16, 8, 4]), ("wrn", [32, 32, 16, 8])])
def test_feature_maps_shrink_where_the_definition_says(kind, sizes):
    model = preact_resnet_small(10, MEAN, STD, width=4) if kind == "small" else wide_resnet(10, 1, 10, MEAN, STD)
    seen = []
    for module in (model.stem, *model.blocks):
        module.register_forward_hook(lambda _module, _input, output: seen.append(output.shape[-1]))
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    assert seen == sizes


def test_normalisation_is_inside_the_model():
    torch.manual_seed(0)
    one = preact_resnet_small(10, [0.0] * 3, [1.0] * 3, width=4).eval()
    two = preact_resnet_small(10, MEAN, STD, width=4).eval()
    state = two.state_dict()
    two.load_state_dict({k: state[k] if "normalise" in k else v for k, v in one.state_dict().items()})
    x = torch.rand(2, 3, 32, 32)
    assert torch.allclose(two(x), one((x - 0.5) / 0.25), atol=1e-5)


def test_the_resnet_is_the_one_whose_weights_circulate():
    """The network that pyautoattack ships beside its example is the oracle, weights and all."""
    package = importlib.util.find_spec("pyautoattack")
    oracle = importlib.import_module("pyautoattack.examples.resnet").ResNet18().eval()
    path = Path(package.submodule_search_locations[0]) / "examples" / "model_test.pt"
    state = read_weights(path)
    oracle.load_state_dict(state)
    model = resnet18(10)
    fill(model, state, path)
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(model.eval()(x), oracle(x), atol=1e-5)


def test_a_resnet_may_normalise():
    torch.manual_seed(0)
    one, two = resnet18(10).eval(), resnet18(10, MEAN, STD).eval()
    two.load_state_dict({**one.state_dict(), **{k: v for k, v in two.state_dict().items() if "normalise" in k}})
    x = torch.rand(2, 3, 32, 32)
    assert torch.allclose(two(x), one((x - 0.5) / 0.25), atol=1e-5)


def test_densenet_is_torchvisions_but_for_the_stem():
    torch.manual_seed(0)
    ours, theirs = densenet121(10).eval(), torchvision.models.densenet121(num_classes=10).eval()
    state = ours.state_dict()
    different = {key for key, value in theirs.state_dict().items() if value.shape != state[key].shape}
    assert different == {"features.conv0.weight"}
    assert count(ours) == 6_956_426
    sizes = []
    for index in range(1, 5):
        block = ours.get_submodule(f"features.denseblock{index}")
        block.register_forward_hook(lambda _module, _input, output: sizes.append(output.shape[-1]))
    x = torch.rand(2, 3, 32, 32)
    assert ours(x).shape == (2, 10)
    assert sizes == [32, 16, 8, 4]
    assert torch.allclose(_fold(ours)(x), ours(x), atol=1e-4)


def test_vgg_is_torchvisions_but_for_the_first_layer_of_its_head():
    torch.manual_seed(0)
    ours = vgg16_bn(10).eval()
    with torch.device("meta"):
        theirs = torchvision.models.vgg16_bn(num_classes=10).state_dict()
    state = ours.state_dict()
    assert {key for key in theirs if theirs[key].shape != state[key].shape} == {"classifier.0.weight"}
    assert theirs.keys() == state.keys()
    for size in (32, 64):
        assert ours(torch.rand(1, 3, size, size)).shape == (1, 10)


def test_swins_take_images_of_32_pixels():
    with torch.device("meta"):
        assert [count(swin(size, 10)) for size in ("tiny", "small")] == [27_527_044, 48_844_948]
        assert swin("tiny", 10)(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_a_resnet_of_any_depth_and_width():
    """ResNet-56 for CIFAR: 0.85 million parameters (He et al., table 6), and 2,752 for its shortcuts' convolutions."""
    with torch.device("meta"):
        net = resnet(10, [9, 9, 9], [16, 32, 64])
        assert count(net) == 855_770
        assert count(resnet34(10)) == 21_282_122
        assert len(net.blocks) == 27
        assert resnet(0, [1, 1], [4, 8], stem="digits")(torch.rand(3, 3, 32, 32)).shape == (3, 8)
    with pytest.raises(UsageError, match=r"depths = \[1, 1\] and widths = \[4\] must each name a number from 1 on"):
        resnet(10, [1, 1], [4])
