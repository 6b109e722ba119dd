"""RobNets against arithmetic that is written out here, and against counts that were worked out on paper."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rbench.catalog import bind
from rbench.errors import UsageError
from rbench.models.genotypes import GENOTYPES, codes_of
from rbench.models.load import load_model
from rbench.models.robnet import robnet
from rbench.models.robnet_cell import Cell, Edge, FactorisedReduce
from rbench.models.twin import Affine, _fold
from rbench.types import Call, ModelCard

ONE = "11 10  01 00 11  10 01 11 00  01 10 11 00 01"  # every code on edges from inputs and from nodes
LARGE = "11 11 11 11 11 01 11 01 10 11 01 01 01 11".split()  # noqa: SIM905 - as the authors print it
ROW = GENOTYPES["large"][0]


def count(model):
    return sum(p.numel() for p in model.parameters())


def settled(module, *inputs):
    """In evaluation mode, with running statistics that are not the initial ones."""
    with torch.no_grad():
        for _ in range(3):
            module.train()(*inputs)
    return module.eval()


@pytest.mark.parametrize(
    ("args", "classes", "parameters"),
    [
        (("large", 36, 20), 10, 6_842_710),
        (("large", 36, 20), 100, 6_894_640),
        (("large", 64, 33), 10, 33_326_666),
        (("large", 64, 33), 100, 33_418_916),
        (("free", 36, 20), 10, 5_439_790),
        (("free", 36, 20), 100, 5_491_720),
        (("medium-ours", 36, 20), 10, 5_614_102),
        (("medium-ours", 36, 20), 100, 5_666_032),
        (("small-ours", 36, 20), 10, 4_359_574),
        (("small-ours", 36, 20), 100, 4_411_504),
        (("large", 48, 20), 1000, 12_756_448),
    ],
)
def test_parameter_counts_are_those_of_the_published_networks(args, classes, parameters):
    with torch.device("meta"):
        assert count(robnet(*args, classes, stem="imagenet" if classes == 1000 else "cifar")) == parameters


@settings(deadline=None, max_examples=20)
@given(st.lists(st.sampled_from(["00", "10", "01", "11"]), min_size=14, max_size=14))
def test_parameters_are_linear_in_the_operations(codes):
    """At 36 channels, 20 shared cells and 10 classes; identities count where a reduction must make them."""
    from_inputs = [0, 1, 2, 3, 5, 6, 9, 10]
    convolutions = sum(code[1] == "1" for code in codes)
    identities = sum(codes[edge][0] == "1" for edge in from_inputs)
    with torch.device("meta"):
        net = robnet([" ".join(codes)], 36, 20, 10)
    assert count(net) == 1_363_222 + 409_536 * convolutions + 25_920 * identities


def test_genotypes_are_the_released_ones():
    assert codes_of("large", 3) == [LARGE] * 3
    free = codes_of("free", 20)
    assert free[0] == "11 10 11 11 10 11 01 01 10 11 11 00 11 01".split()  # noqa: SIM905
    assert free[19] == "11 11 01 01 11 11 01 00 00 10 00 01 01 11".split()  # noqa: SIM905
    bits = {name: sum(code.count("1") for cell in cells for code in cell.split()) for name, cells in GENOTYPES.items()}
    assert bits == {"large": 22, "medium-ours": 19, "small-ours": 16, "free": 359}
    neighbours = [1, 4, 8, 13]
    for name in ("small-ours", "medium-ours"):
        assert all(codes_of(name, 1)[0][edge][1] == "1" for edge in neighbours)


def norm(h, state, key):
    return F.batch_norm(h, state[f"{key}.running_mean"], state[f"{key}.running_var"])


def reduced(h, state, key):
    h = torch.relu(h)
    even, odd = h[:, :, 0::2, 0::2], h[:, :, 1::2, 1::2]
    halves = [F.conv2d(even, state[f"{key}.conv1.weight"]), F.conv2d(odd, state[f"{key}.conv2.weight"])]
    return norm(torch.cat(halves, 1), state, f"{key}.bn")


def convolved(h, state, key, stride):
    for first, step in ((0, stride), (4, 1)):
        depthwise, pointwise = state[f"{key}.{first + 1}.weight"], state[f"{key}.{first + 2}.weight"]
        h = F.conv2d(torch.relu(h), depthwise, stride=step, padding=1, groups=len(depthwise))
        h = norm(F.conv2d(h, pointwise), state, f"{key}.{first + 3}")
    return h


def edge_by_hand(code, h, state, key, stride):
    found = []
    if code[0] == "1":
        found.append(h if stride == 1 else reduced(h, state, f"{key}.operations.0"))
    if code[1] == "1":
        found.append(convolved(h, state, f"{key}.operations.{len(found)}", stride))
    return sum(found) if found else 0 * h[:, :, ::stride, ::stride]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("code", ["00", "10", "01", "11"])
def test_an_edge_by_hand(code, stride):
    torch.manual_seed(0)
    h = torch.randn(5, 6, 8, 8)
    edge = settled(Edge(code, 6, stride), h)
    expected = edge_by_hand(code, h, {f"edge.{key}": value for key, value in edge.state_dict().items()}, "edge", stride)
    assert edge(h).shape == (5, 6, 8 // stride, 8 // stride)
    assert torch.allclose(edge(h), expected, atol=1e-5)


def test_a_reduction_of_numbers():
    """Two channels of a 2x2 image: the first output is of the place above and left, the second of the other one."""
    reduce = FactorisedReduce(2, 2).eval()
    with torch.no_grad():
        reduce.conv1.weight.copy_(torch.tensor([1.0, 10.0]).view(1, 2, 1, 1))
        reduce.conv2.weight.copy_(torch.tensor([2.0, -3.0]).view(1, 2, 1, 1))
    h = torch.tensor([[[[1.0, 9.0], [9.0, 4.0]], [[-5.0, 9.0], [9.0, 7.0]]]])
    assert reduce(h).flatten().tolist() == pytest.approx([1.0, 2 * 4.0 - 3 * 7.0], rel=1e-4)


@pytest.mark.parametrize("reduces", [False, True])
@pytest.mark.parametrize("after_reduction", [False, True])
def test_a_cell_by_hand(reduces, after_reduction):
    torch.manual_seed(0)
    older = torch.randn(4, 3, *(2 * [16 if after_reduction else 8]))
    newer = torch.randn(4, 5, 8, 8)
    cell = settled(Cell(ONE.split(), 3, 5, 4, reduces=reduces, after_reduction=after_reduction), older, newer)
    state, stride = cell.state_dict(), 2 if reduces else 1

    def brought(h, key):
        return norm(F.conv2d(torch.relu(h), state[f"{key}.1.weight"]), state, f"{key}.2")

    a = reduced(older, state, "older") if after_reduction else brought(older, "older")
    b = brought(newer, "newer")
    e = [lambda h, s, i=i, c=c: edge_by_hand(c, h, state, f"edges.{i}", s) for i, c in enumerate(ONE.split())]
    one = e[0](a, stride) + e[1](b, stride)
    two = e[2](a, stride) + e[3](b, stride) + e[4](one, 1)
    three = e[5](a, stride) + e[6](b, stride) + e[7](one, 1) + e[8](two, 1)
    four = e[9](a, stride) + e[10](b, stride) + e[11](one, 1) + e[12](two, 1) + e[13](three, 1)
    found = cell(older, newer)
    assert found.shape == (4, 16, 8 // stride, 8 // stride)
    assert torch.allclose(found, torch.cat([one, two, three, four], 1), atol=1e-4)


def test_a_cell_of_two_nodes_leaves_the_others_at_zero():
    cell = Cell("10 10  10 00 10  00 00 00 00  00 00 00 00 00".split(), 2, 2, 2, reduces=False, after_reduction=False)  # noqa: SIM905
    with torch.no_grad():
        for each in (cell.older, cell.newer):
            each[1].weight.copy_(torch.eye(2).view(2, 2, 1, 1))
    a, b = torch.tensor([[[[1.0]], [[2.0]]]]), torch.tensor([[[[3.0]], [[-4.0]]]])
    found = cell.eval()(a, b).flatten().tolist()
    assert found == pytest.approx([4.0, 2.0, 5.0, 4.0, 0, 0, 0, 0], rel=1e-4)  # n1 = a + relu(b), n2 = a + n1


def sizes(net, x):
    seen = []
    for cell in net.cells:
        cell.register_forward_hook(lambda _module, _input, output: seen.append(tuple(output.shape[1:])))
    assert net.eval()(x).shape == (len(x), net.classifier.out_features)
    return seen


def test_resolution_halves_and_channels_double_at_a_third_and_two_thirds():
    found = sizes(robnet("free", 2, 20, 10), torch.rand(2, 3, 32, 32))
    assert found == [(8, 32, 32)] * 6 + [(16, 16, 16)] * 7 + [(32, 8, 8)] * 7
    found = sizes(robnet("large", 2, 33, 10), torch.rand(1, 3, 16, 16))
    assert [index for index in range(1, 33) if found[index] != found[index - 1]] == [11, 22]
    found = sizes(robnet("large", 2, 6, 200), torch.rand(1, 3, 64, 64))
    assert [size[1] for size in found] == [64, 64, 32, 32, 16, 16]


def test_the_stem_for_imagenet_leaves_an_eighth():
    net = robnet("large", 4, 3, 1000, stem="imagenet")
    assert sizes(net, torch.rand(1, 3, 224, 224)) == [(16, 28, 28), (32, 14, 14), (64, 7, 7)]
    assert isinstance(net.cells[0].older, FactorisedReduce)  # which brings the second convolution's 56x56 to 28x28


def test_one_cell_stands_for_all_and_twenty_for_themselves():
    torch.manual_seed(0)
    shared = robnet([ONE], 2, 4, 10)
    torch.manual_seed(0)
    repeated = robnet([ONE] * 4, 2, 4, 10)
    x = torch.rand(3, 3, 16, 16)
    assert torch.equal(shared.eval()(x), repeated.eval()(x))
    weights = [cell.newer[1].weight for cell in shared.cells]
    assert len({id(weight) for weight in weights}) == 4  # what is shared is the code, never a weight
    free = robnet([ONE, ROW, ONE, ROW], 2, 4, 10)
    shapes = [{key: value.shape for key, value in cell.edges.state_dict().items()} for cell in free.cells]
    assert [len(shape) for shape in shapes][::2] != [len(shape) for shape in shapes][1::2]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"cells": ["11 " * 13]}, r"cells\[0\] has 13 codes, not 14; write one for each edge, 2, 3, 4 and 5"),
        (
            {"cells": [ONE, ONE, ONE.replace("00", "20")]},
            r"cells\[2\] has the code '20' for edge 3; the codes are 00, ",
        ),
        ({"cells": [ONE, ONE]}, "cells holds 2 cells; write one for all layers, or one for each of the 3"),
        ({"cells": []}, "cells holds 0 cells; write one for all layers"),
        ({"cells": "free"}, "cells holds 20 cells; write one for all layers, or one for each of the 3"),
        ({"cells": "larg"}, "no genotype named 'larg' in .*genotypes.py. Did you mean 'large'?"),
        ({"layers": 0}, "layers = 0 must be at least 1"),
        ({"cells": [11]}, r"robnet: cells = \[11\]: Input should be a valid string"),
        ({"stem": "mnist"}, "robnet: stem = 'mnist': Input should be 'cifar', 'imagenet' or 'digits'"),
        ({"width": 3}, "no argument named 'width'"),
    ],
)
def test_what_is_no_genotype_is_refused_when_the_card_is_loaded(args, message):
    given = {"cells": [ONE], "C": 2, "layers": 3, "classes": 10, **args}
    card = ModelCard("mine", "mine", Call("rbench.models.robnet:robnet", given), "cifar10")
    with pytest.raises(UsageError, match=message):
        load_model(card, None)


def test_cells_are_written_in_toml_as_strings():
    build = bind(Call("rbench.models.robnet:robnet", {"cells": [ONE], "C": 2, "layers": 3, "classes": 10}))
    assert len(build().cells) == 3


def test_the_twin_folds_norms_that_have_no_scales():
    torch.manual_seed(0)
    net = robnet("free", 2, 20, 10, denoise=True)
    x = torch.rand(20, 3, 32, 32)
    settled(net, x)
    folded = _fold(net)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
    assert torch.allclose(folded(x), net(x), atol=1e-4)
    bare = settled(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3, affine=False)), x)
    assert isinstance(_fold(bare).get_submodule("1"), Affine)
    assert torch.allclose(_fold(bare)(x), bare(x), atol=1e-6)
