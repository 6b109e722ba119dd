"""The accelerated twin: a frozen copy of a model that attacks use; the referee always judges the model as given."""

import copy
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from rbench.errors import ModelError
from rbench.models.hooks import hooks_of, straight_through
from rbench.models.precision import Cast
from rbench.rng import seeded

AGREEMENT = 1e-4  # largest difference of logits or gradients, relative to their scale, that counts as rounding
HALF_AGREEMENT = 2e-2  # the same for logits in half precision, which keeps 8 or 11 bits

NO_GRADIENT = (
    "the model's logits carry no gradient for an attack that asks for one; remove no_grad and detach, or choose a "
    "suite of attacks that ask for logits only."
)


class Counted(nn.Module):
    """Counts the samples that pass forwards and backwards through a model, and notices logits that are not finite.

    It shows the hooks that the model inside has (see `rbench.models.hooks`) and counts what passes through them too;
    where that is a stand-in `bpda`, gradients are the stand-in's. One pass through an ensemble counts as `passes`.
    """

    def __init__(self, inner: nn.Module, tick: Callable[[int], None], passes: int = 1) -> None:
        super().__init__()
        self.inner = inner
        self.forwards = self.backwards = 0
        self._tick, self._passes = tick, passes
        self._finite = torch.ones((), dtype=torch.bool)
        hooks = hooks_of(inner)
        self._bpda = hooks.pop("bpda", None)
        for name, hook in hooks.items():
            setattr(self, name, partial(self._asked, hook))

    def forward(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        """The logits of the model inside, under a code for its router if one is given."""
        given = {} if code is None else {"code": code}
        asked = torch.is_grad_enabled() and x.requires_grad
        if self._bpda is None or not asked:
            logits = self._passed(x, self.inner(x, **given))
            if asked and not logits.requires_grad:
                raise ModelError(NO_GRADIENT, code="RB111")
            return logits
        with torch.no_grad():
            hard = self._passed(x, self.inner(x, **given))
        return self._passed(x, straight_through(hard, self._bpda(x, **given)))

    def _asked(self, hook: Callable[[Tensor], Any], x: Tensor) -> Any:
        answer = hook(x)
        return self._passed(x, answer) if isinstance(answer, Tensor) else answer

    def _passed(self, x: Tensor, output: Tensor) -> Tensor:
        self.forwards += self._passes * len(x)
        self._tick(self._passes * len(x))
        # Kept on the device and asked for at the end: a question to the device here would stall every step.
        self._finite = self._finite.to(output.device) & torch.isfinite(output.detach()).all()
        if output.requires_grad:
            output.register_hook(self._count)
        return output

    def _count(self, grad: Tensor) -> None:
        self.backwards += self._passes * len(grad)

    def take(self) -> tuple[int, int]:
        """The counts since the last call; raises `ModelError` if any logits were NaN or infinite.

        An attack that compares with NaN finds nothing, which must not pass for robustness.
        """
        counts = self.forwards, self.backwards
        finite, self._finite = bool(self._finite), torch.ones((), dtype=torch.bool)
        self.forwards = self.backwards = 0
        if not finite:
            what = "NaN or infinite logits for images in [0, 1] that an attack tried"
            raise ModelError(f"the model returned {what}.", code="RB104")
        return counts


class Affine(nn.Module):
    """A batch norm in eval mode: x scale + shift for each channel, without its costly general backward."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None  # noqa: S101 - only norms with running statistics come here
        assert norm.running_var is not None  # noqa: S101
        scale, shift = torch.rsqrt(norm.running_var + norm.eps), torch.zeros_like(norm.running_mean)
        if norm.affine:
            scale, shift = norm.weight * scale, norm.bias
        self.scale = nn.Parameter(scale.detach().view(1, -1, 1, 1), requires_grad=False)
        self.shift = nn.Parameter((shift - norm.running_mean * scale).detach().view(1, -1, 1, 1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Scale and shift features [B, C, H, W]."""
        return torch.addcmul(self.shift, x, self.scale)


def accelerate(model: nn.Module, x: Tensor) -> nn.Module:
    """A copy of `model` in eval mode, frozen, with batch norm folded into convolutions and weights in channels_last.

    The copy's logits and input gradients are compared on images x [B, C, H, W]; wherever the model cannot be copied or
    traced, or the fast copy differs by more than rounding, a plainer one is returned. Tracing would lose hooks and turn
    random numbers into constants, so models with either are only copied. A model in half precision, whose gradients
    underflow, is attacked through a copy in float32.
    """
    try:
        twin = copy.deepcopy(model)
        twin = _widened(twin, x) if isinstance(twin, Cast) else twin
    except Exception:  # noqa: BLE001 - foreign modules fail to copy in their own ways; then the model serves itself
        return model
    twin = twin.eval().requires_grad_(False)
    if hooks_of(twin) or is_random(twin, x):
        return twin
    try:
        fast = _fold(twin).to(memory_format=torch.channels_last)
        if all(_agree(*pair) for pair in zip(_probe(twin, x), _probe(fast, x), strict=True)):
            return fast
    except Exception:  # noqa: BLE001, S110 - tracing is best effort: dynamic models stay as they are
        pass
    return twin


@torch.no_grad()
def _widened(cast: Cast, x: Tensor) -> nn.Module:
    """A model in half precision as one in float32, if its logits say the same; else as it is."""
    if torch.finfo(cast.dtype).bits >= 32:
        return cast
    given, wide = cast(x), copy.deepcopy(cast.inner).float()
    return wide if _agree(given, wide(x), HALF_AGREEMENT) else cast


@torch.no_grad()
def is_random(model: nn.Module, x: Tensor) -> bool:
    """Whether a model draws from torch's global generators when it is asked for the logits of images x [B, C, H, W]."""
    with seeded(0, x.device):
        before = _generators(x.device)
        model(x)
        return not all(map(torch.equal, before, _generators(x.device)))


def _generators(device: torch.device) -> list[Tensor]:
    """The states of the global generators of the CPU and of a device."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def _probe(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient of their sum by unequal weights: tracing loses gradients that a model defines itself."""
    point = x.detach().requires_grad_()
    logits = model(point)
    weights = torch.linspace(-1, 1, logits.shape[1], dtype=logits.dtype, device=logits.device)
    (grad,) = torch.autograd.grad((logits * weights).sum(), point)
    return logits.detach(), grad


def _agree(given: Tensor, got: Tensor, tolerance: float = AGREEMENT) -> bool:
    return bool((given - got).abs().max() <= tolerance * given.abs().max())


def _fold(model: nn.Module) -> nn.Module:
    """Fold each batch norm into the convolution that it alone reads, else into one scale and shift."""
    parameters = inspect.signature(model.forward).parameters.values()
    options = {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
    graph = fx.symbolic_trace(copy.deepcopy(model), concrete_args=options or None)
    for node in list(graph.graph.nodes):
        norm = _module(graph, node)
        if not isinstance(norm, nn.BatchNorm2d) or not norm.track_running_stats:
            continue
        source = node.args[0]
        conv = _module(graph, source)
        if isinstance(conv, nn.Conv2d) and len(source.users) == 1:
            _replace(graph, source, fuse_conv_bn_eval(conv, norm))
            node.replace_all_uses_with(source)
            graph.graph.erase_node(node)
        else:
            _replace(graph, node, Affine(norm))
    graph.delete_all_unused_submodules()
    graph.graph.lint()
    graph.recompile()
    return graph.requires_grad_(False)


def _module(graph: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """The module that a node calls, if it is the only node that calls it."""
    if node.op != "call_module" or sum(other.target == node.target for other in graph.graph.nodes) > 1:
        return None
    return graph.get_submodule(str(node.target))


def _replace(graph: fx.GraphModule, node: fx.Node, module: nn.Module) -> None:
    parent, _, name = str(node.target).rpartition(".")
    setattr(graph.get_submodule(parent), name, module)
