"""Spacings of all parameters from one price of a bit, by what errors cost at the outputs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import attrgetter

import torch
from torch import Tensor, nn

from laconic.errors import UsageError
from laconic.quantize import Spaced
from laconic.recipe.context import Context, Layers
from laconic.recipe.scoring import training_data
from laconic.represent import (
    Grid,
    chains,
    latents,
    matches_layer,
    plain,
    represent_layers,
    weights,
)
from laconic.saliency import Data, input_hessians, output_curvatures, readable
from laconic.solve import Feedback, shifts

MOST_COLUMNS = 6000
"""Inputs of a layer up to which errors are fed back; the Hessian of more would not fit."""
CORRECTED_ON = 128
"""Examples of the batch on which mean outputs are compared."""
START = 0.01
"""Relative output error that is tried first."""
LEVELS = 2**15
"""Spacings in the largest magnitude of a parameter, at the most."""
LEAST = LEVELS * torch.finfo(torch.float32).tiny
"""Magnitude below which there is no spacing: a parameter that is smaller throughout becomes 0."""


@dataclass(frozen=True)
class Part:
    """One parameter, and what its rounding costs."""

    weight: Tensor
    curvature: float
    """Of the squared output error in an element, as it counts where others make up for it."""
    feedback: Feedback | None
    """Of layers whose inputs are known."""

    def spacing(self, price: float) -> float:
        """Where another bit an element is worth its price.

        An element rounded to spacing Δ costs ``h Δ²/12``; half the spacing costs a bit more and
        saves three quarters of that: at the margin ``h Δ² ln 2 / 6 = price``.
        """
        largest = float(self.weight.abs().max()) if self.weight.numel() else 0.0
        if largest == 0:
            return 1.0
        wanted = (
            math.sqrt(6 * price / (math.log(2) * self.curvature)) if self.curvature > 0 else largest
        )
        return min(max(wanted, largest / LEVELS), largest)


@dataclass(frozen=True)
class Survey:
    """All that the search needs to know of a network, whatever the price."""

    model: nn.Module
    parts: dict[str, Part]
    inputs: Tensor
    energy: float
    """Mean squared deviation of an example's outputs from their mean over examples, summed."""

    @property
    def first_price(self) -> float:
        """At which rounding is expected to cost `START` of the energy."""
        count = sum(part.weight.numel() for part in self.parts.values())
        return START * self.energy * 2 * math.log(2) / max(1, count)

    def quantize(self, model: nn.Module, price: float) -> None:
        """Put the parameters of `model`, a copy of the surveyed network, on their grids."""
        own = latents(model)
        many, few = {}, []
        for name, part in self.parts.items():
            if not part.weight.any():
                own[name].data.zero_()
            if own[name].ndim < 2:
                few.append(name)
                continue
            many[name] = step = Spaced(part.spacing(price))
            step.fit(part.weight)
            if part.feedback is not None:
                rounded = part.feedback.round(part.weight, step, part.weight != 0)
                own[name].data.copy_(rounded)
        represent_layers(model, {name: Spaced(step.spacing) for name, step in many.items()})
        for path, shift in shifts(model, self.model, self.inputs).items():
            if f"{path}.bias" in few:
                bias = own[f"{path}.bias"].data
                bias.copy_(representable(bias + shift))
        # Of what they are by now: a shift may leave less of a bias than a spacing, or more.
        now = {name: attrgetter(name)(model).detach() for name in few}
        spacings = {n: replace(self.parts[n], weight=w).spacing(price) for n, w in now.items()}
        represent_layers(model, {name: Spaced(spacing) for name, spacing in spacings.items()})


def survey(context: Context, layers: Layers, examples: int, damping: float) -> Survey:
    """Look at the network once: curvatures, input Hessians, the energy of its outputs."""
    model, data = context.model, training_data(context, examples)
    names = _names(model, layers)
    if not names:
        raise UsageError(f"smallest: every parameter that {layers!r} matches is on a grid already")
    reference = plain(model).eval()
    energy = _energy(reference, data)
    diagonals = output_curvatures(model, names, data, context.seed)
    present = dict(_present(reference, names))
    many = [name for name in names if 0 < _columns(present[name]) <= MOST_COLUMNS]
    many = readable(model, many, data)
    hessians = input_hessians(model, many, data, damping, "smallest") if many else {}
    parts = {}
    for name in names:
        mean = float(diagonals[name].double().mean())
        feedback = None
        if name in hessians:
            feedback = Feedback(hessians.pop(name))
            mean *= _share_left(feedback)
        parts[name] = Part(representable(present[name]), mean, feedback)
    inputs = next(iter(data.batches()))[0][:CORRECTED_ON]
    return Survey(reference, parts, inputs, energy)


def _names(model: nn.Module, layers: Layers) -> list[str]:
    """Float parameters without a grid."""
    patterns = [layers] if isinstance(layers, str) else layers
    weights(model, layers)  # a pattern that matches no layer is an error
    steps = chains(model)
    return [
        name
        for name, value in latents(model).items()
        if value.is_floating_point()
        and any(matches_layer(pattern, name) for pattern in patterns)
        and not any(isinstance(step, Grid) for step in steps.get(name, []))
    ]


def _present(reference: nn.Module, names: list[str]) -> Iterator[tuple[str, Tensor]]:
    parameters = dict(reference.named_parameters(remove_duplicate=False))
    for name in names:
        yield name, parameters[name].detach()


def _columns(weight: Tensor) -> int:
    return weight[0].numel() if weight.ndim > 1 and len(weight) else 0


def _share_left(feedback: Feedback) -> float:
    """How much less an error costs where the columns behind it make up for it.

    The geometric mean of the conditional curvatures, as rates are logarithms, over the mean of the
    unconditional ones.
    """
    conditional = feedback.curvatures().double()
    return float((conditional.log().mean(1).exp() / feedback.diagonal.mean(1)).mean())


def representable(weight: Tensor) -> Tensor:
    """The weight, or zeros where it is too small for a spacing (`LEAST`)."""
    largest = float(weight.abs().max()) if weight.numel() else 0.0
    return torch.zeros_like(weight) if largest < LEAST else weight


def _energy(reference: nn.Module, data: Data) -> float:
    outputs = []
    with torch.no_grad():
        for inputs, _ in data.batches():
            outputs.append(reference(inputs).double().flatten(1))
    whole = torch.cat(outputs)
    energy = float((whole - whole.mean(0)).square().sum(1).mean())
    if not 0 < energy < math.inf:
        raise UsageError(
            f"smallest: the outputs of the network on {len(whole)} training examples are "
            f"{'all the same' if energy == 0 else 'not finite'}; what an error costs is seen "
            "against how much they differ"
        )
    return energy
