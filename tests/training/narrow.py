"""Networks of the papers with an eighth of their planes, RobNets with a third of their cells, a short ImageNet.

The modules are the same; there is less to multiply and to sort.
"""

import inspect

from rbench.data.synthetic import SHAPES
from rbench.models.awnet import AWNet
from rbench.models.preact_resnet import PreActResNet
from rbench.models.resnet import ResNet
from rbench.models.robnet import RobNet


def planes(widths):
    return [width // 8 for width in widths]


def stages(each):
    return [(blocks, width // 8, stride) for blocks, width, stride in each]


LESS = {
    AWNet: {"widths": planes},
    PreActResNet: {"stages": stages},
    ResNet: {"widths": planes},
    RobNet: {"C": lambda channels: channels // 8, "codes": lambda codes: codes[::3]},
}


def narrow(monkeypatch):
    """Until the test ends, whoever builds one of these networks gets a narrow one."""
    monkeypatch.setitem(SHAPES, "imagenet", (50_000, *SHAPES["imagenet"][1:]))
    for kind, changes in LESS.items():
        monkeypatch.setattr(kind, "__init__", _thinner(kind.__init__, changes))


def _thinner(begin, changes):
    signature = inspect.signature(begin)

    def init(*args, **kwargs):
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        for key, change in changes.items():
            given.arguments[key] = change(given.arguments[key])
        begin(*given.args, **given.kwargs)

    return init
