"""Learning the architecture: an activation that says which neurons and layers are needed."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from laconic.errors import UnsupportedError, UsageError
from laconic.prune.gradual import Moment
from laconic.represent.merge import merge

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class TsReLU(nn.Module):
    """``w·x`` for x ≥ 0, else ``w·d·x``: w of 0 removes a neuron, d of 1 a layer.

    Srinivas, Babu, Learning the Architecture of Deep Neural Networks, BMVC 2016, equation 2
    (source 1, "tsReLU"). It begins as ReLU: w = 1 for each neuron or channel, d = 0.

    Args:
        features: neurons, or channels, of dimension 1 of its input.
        learns_depth: whether d is learned; False: it stays `slope`.
        slope: d at the beginning: 0 is ReLU, 1 no activation (a gate for filters without one).

    Examples:
        >>> TsReLU(2)(torch.tensor([[-1.0, 2.0]])).tolist()
        [[-0.0, 2.0]]
    """

    def __init__(self, features: int, learns_depth: bool = True, slope: float = 0.0) -> None:
        super().__init__()
        self.features = features
        self.learns_depth = learns_depth
        self.w = nn.Parameter(torch.ones(features))
        self.d = nn.Parameter(torch.tensor([slope]), requires_grad=learns_depth)

    def forward(self, inputs: Tensor) -> Tensor:
        """Shape ``[batch, features, …]``, as it came."""
        w = self.w.reshape(-1, *[1] * (inputs.ndim - 2))
        return w * torch.where(inputs >= 0, inputs, self.d * inputs)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"features={self.features}, learns_depth={self.learns_depth}"


class Architecture:
    """A penalty that drives w and d of every `TsReLU` to 0 or 1, and the network to be small.

    ``λ₁ Σ w(1 − w) + λ₂ Σ d(1 − d) + λ₃ Σ w + λ₄ Σ (1 − d)``; the first two are the paper's
    equation 4, the last two its complexity, which source 1 leaves out. Departure: ``1 − d``
    counts the layers that are left; with ``+ d`` no layer would ever go.

    Args:
        binary_w: λ₁.
        binary_d: λ₂.
        width: λ₃; the paper's are 0.2 and 0.4 of λ₁.
        depth: λ₄.
    """

    def __init__(self, binary_w: float, binary_d: float, width: float, depth: float) -> None:
        self.binary_w = binary_w
        self.binary_d = binary_d
        self.width = width
        self.depth = depth

    @property
    def configuration(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return dict(vars(self))

    def __call__(self, model: nn.Module) -> Tensor:
        """The term, a scalar with a gradient."""
        terms = []
        for module in activations(model):
            w, d = module.w, module.d
            if w.requires_grad:
                terms.append((self.binary_w * w * (1 - w) + self.width * w).sum())
            if module.learns_depth:
                terms.append((self.binary_d * d * (1 - d) + self.depth * (1 - d)).sum())
        return torch.stack(terms).sum()


class Clip:
    """A callback that keeps w and d in [0, 1]: beyond, ``w(1 − w)`` falls without end.

    Args:
        speed: their learning rate is so many times that of the weights. Departure: the paper says
            nothing of it.
    """

    def __init__(self, speed: float = 1.0) -> None:
        if not (speed > 0 and math.isfinite(speed)):
            raise UsageError(f"speed is {speed:g}; a positive number is needed")
        self.speed = speed
        self._before: list[Tensor] = []

    @property
    def configuration(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"speed": self.speed}

    def before_step(self, model: nn.Module, moment: Moment) -> None:
        """Remember w and d: a step of Adam or SGD is proportional to the learning rate."""
        self._before = [parameter.detach().clone() for parameter in self._learned(model)]

    def after_step(self, model: nn.Module, moment: Moment) -> None:
        """Lengthen the step, and clip."""
        with torch.no_grad():
            for before, parameter in zip(self._before, self._learned(model), strict=True):
                parameter.lerp_(before, 1 - self.speed).clamp_(0, 1)

    def _learned(self, model: nn.Module) -> list[nn.Parameter]:
        own = [one for module in activations(model) for one in (module.w, module.d)]
        return [one for one in own if one.requires_grad]


def activations(model: nn.Module) -> list[TsReLU]:
    """Every TsReLU of a model.

    Raises:
        UsageError: there is none.
    """
    found = [module for module in model.modules() if isinstance(module, TsReLU)]
    if not found:
        raise UsageError("the network has no TsReLU; put them in by with_tsrelu(model)")
    return found


def with_tsrelu(model: nn.Sequential) -> nn.Sequential:
    """A stack with a TsReLU in the place of each ReLU; the layers are the same objects.

    A convolution that no ReLU follows gets a gate for its filters (w alone, slope 1).

    Raises:
        UsageError: there is no activation to replace.

    Examples:
        >>> with_tsrelu(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))[1]
        TsReLU(features=3, learns_depth=True)
    """
    layers: list[nn.Module] = []
    modules = list(model)
    for place, module in enumerate(modules):
        before = next((m for m in reversed(layers) if isinstance(m, WEIGHTED)), None)
        if isinstance(module, nn.ReLU) and before is not None:
            layers.append(TsReLU(_outputs(before), learns_depth=isinstance(before, nn.Linear)))
            continue
        layers.append(module)
        follows = modules[place + 1] if place + 1 < len(modules) else None
        gated = isinstance(module, WEIGHTED[1:]) and not isinstance(follows, nn.ReLU)
        if gated and follows is not None:
            layers.append(TsReLU(_outputs(module), learns_depth=False, slope=1.0))
    made = nn.Sequential(*layers)
    activations(made)
    return made


def absorb(model: nn.Sequential) -> nn.Sequential:
    """The stack that was learned, of ordinary layers: neurons of w < ½ gone, linear layers merged.

    w and d are rounded at ½ (the paper's equation 5). A neuron with w = 0 is 0 for every input:
    its row goes, and its columns in the next layer. Where d = 1 a linear layer and the next one
    are one: ``W₂(W₁x + b₁) + b₂ = (W₂W₁)x + (W₂b₁ + b₂)``, exact to rounding. `model` stays.

    Raises:
        UnsupportedError: neurons go, and a layer of weights next to their TsReLU is neither linear
            nor a convolution, or a convolution has groups.
        UsageError: a layer has no neuron left.
    """
    layers: list[nn.Module] = []
    kept: Tensor | None = None
    for module in model:
        if isinstance(module, TsReLU):
            kept = module.w.detach() >= 0.5
            if not bool(kept.any()):
                raise UsageError(
                    f"all {len(kept)} neurons before layer {len(layers)} have w below 0.5; lower "
                    "the width coefficient"
                )
            place = next(n for n in reversed(range(len(layers))) if isinstance(layers[n], WEIGHTED))
            if not bool(kept.all()):
                for between in layers[place + 1 :]:
                    _refuse_sized(between, "before")
            layers[place] = _select(layers[place], kept, 0)
            if float(module.d.detach()) < 0.5:
                layers.append(nn.ReLU())
        elif isinstance(module, WEIGHTED):
            module = module if kept is None else _select(module, kept, 1)
            kept = None
            if layers and isinstance(layers[-1], nn.Linear) and isinstance(module, nn.Linear):
                layers[-1] = merge(layers[-1], module)
            else:
                layers.append(_select(module, None, 0))
        else:
            if kept is not None and not bool(kept.all()):
                _refuse_sized(module, "after")
                _refuse_unless_zero_stays(module)
            layers.append(module)
    return nn.Sequential(*layers)


def _refuse_sized(module: nn.Module, side: str) -> None:
    """Refuse a layer with values for each neuron, from which nothing is cut here."""
    if next(module.parameters(), None) is not None or next(module.buffers(), None) is not None:
        raise UnsupportedError(
            f"{module} {side} a TsReLU: neurons can only be removed from linear layers and "
            "convolutions; fold it into a neighbour first"
        )


KEEP_ZERO = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish,
    nn.Hardswish, nn.Tanh, nn.Softsign, nn.Identity, nn.Flatten, nn.Unflatten,
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d,
    nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d,
    nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
)  # fmt: skip
"""Layers without values that make zeros of zeros: a neuron that is 0 may go before them."""


def _refuse_unless_zero_stays(module: nn.Module) -> None:
    if not isinstance(module, KEEP_ZERO):
        raise UnsupportedError(
            f"{module} after a TsReLU: it may make something else of a neuron that is always 0, "
            "which would be lost with it"
        )


def _outputs(module: nn.Module) -> int:
    return int(module.weight.shape[0])  # type: ignore[index]


def _select(module: Any, kept: Tensor | None, dim: int) -> Any:
    """A copy of a layer with the outputs (dim 0) or inputs (dim 1) that are kept.

    After flattening a channel has several columns, which stay or go together.
    """
    weight, bias = module.weight.detach(), module.bias
    if kept is not None and not bool(kept.all()):
        if not isinstance(module, nn.Linear) and module.groups != 1:
            raise UnsupportedError(f"{module}: a grouped convolution cannot lose single channels")
        index = kept.repeat_interleave(weight.shape[dim] // len(kept)).nonzero().flatten()
        weight = weight.index_select(dim, index)
        if dim == 0 and bias is not None:
            bias = bias.detach()[index]
    rows, columns = weight.shape[:2]
    made: Any
    if isinstance(module, nn.Linear):
        made = nn.Linear(columns, rows, bias is not None)
    else:
        made = type(module)(
            columns * module.groups, rows, module.kernel_size, module.stride, module.padding,
            module.dilation, module.groups, bias is not None, module.padding_mode,
        )  # fmt: skip
    with torch.no_grad():
        made.weight.copy_(weight)
        if bias is not None:
            made.bias.copy_(bias)
    return made
