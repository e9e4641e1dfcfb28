"""Gradients with respect to the weights as they compute: of the mean loss, and of each example."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from laconic.errors import UnsupportedError, UsageError
from laconic.saliency.data import Data
from laconic.saliency.layers import examples, twin
from laconic.saliency.saliency import Scores

CHUNK = 64
"""Examples at a time where their gradients are only added."""

OUTPUTS = 2048
"""Outputs of an example up to which the second derivative of the loss is written down."""

Scalars = Callable[[Tensor, Tensor], Tensor]
"""Outputs and targets of one example, batch dimension of 1 included → scalars, ``[count]``."""


def mean_gradient(model: nn.Module, names: Sequence[str], data: Data) -> Scores:
    """The gradient of the mean loss over all examples; zero where a weight has no part in it."""
    copy, parameters = twin(model, names)
    sums = {name: torch.zeros_like(parameters[name]) for name in names}
    count = 0
    for inputs, targets in examples(copy, data, CHUNK):
        loss = data.loss(copy(inputs), targets) * len(targets)
        for name, gradient in zip(names, _gradients(loss, parameters, names), strict=True):
            sums[name] += gradient
        count += len(targets)
    return {name: total / count for name, total in sums.items()}


def mean_over_examples(
    model: nn.Module,
    names: Sequence[str],
    data: Data,
    scalars: Scalars,
    size: Callable[[Tensor], Tensor] = torch.square,
) -> Scores:
    """``1/N Σ_n Σ_k size(∂ scalar_k / ∂w)``: taken of each example before anything is averaged.

    Args:
        model: with or without chains; left as it was.
        names: of weights, of any kind of layer.
        data: the examples; the network sees them one at a time.
        scalars: what is differentiated.
        size: ``torch.square`` or ``torch.abs``.
    """
    copy, parameters = twin(model, names)
    sums = {name: torch.zeros_like(parameters[name]) for name in names}
    count = 0
    for inputs, targets in examples(copy, data, 1):
        values = scalars(copy(inputs), targets)
        for value in values:
            for name, gradient in zip(names, _gradients(value, parameters, names), strict=True):
                sums[name] += size(gradient)
        count += 1
    return {name: total / count for name, total in sums.items()}


def _gradients(
    value: Tensor, parameters: dict[str, nn.Parameter], names: Sequence[str]
) -> tuple[Tensor, ...]:
    return torch.autograd.grad(
        value,
        [parameters[name] for name in names],
        retain_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )


def sampled_loss(data: Data, seed: int) -> Scalars:
    """The loss of an example with a class drawn from the network's own ``p(y | x)``.

    For networks whose outputs are logits, ``[batch, classes, ...]`` or, of sequences, ``[batch,
    ..., classes]``, and whose loss is the mean cross entropy: only then is the loss −log p(y | x),
    divided by the positions of an example. Each position draws for itself.
    """
    generator = torch.Generator().manual_seed(seed)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        axis = class_axis(data, outputs, targets)
        if not bool(torch.isfinite(outputs).all()):
            raise UsageError("an output of the network is NaN or infinite")
        logits = outputs.detach().movedim(axis, -1).flatten(0, -2)
        drawn = torch.multinomial(logits.softmax(-1).cpu(), 1, generator=generator)
        return data.loss(outputs, drawn.reshape(targets.shape).to(targets))[None]

    return loss


def class_axis(data: Data, outputs: Tensor, targets: Tensor) -> int:
    """Along which dimension of the outputs the logits of the classes lie.

    Raises:
        UnsupportedError: the loss is not their mean cross entropy.
    """
    for axis in (1, -1):
        if outputs.ndim < 2 or targets.is_floating_point():
            continue
        logits = outputs.movedim(axis, -1)
        if logits.shape[:-1] != targets.shape:
            continue
        own = data.loss(outputs, targets)
        usual = functional.cross_entropy(logits.flatten(0, -2), targets.flatten().long())
        if bool(torch.isclose(own, usual, rtol=1e-3, atol=1e-5, equal_nan=True)):
            return axis
    raise UnsupportedError(
        f"targets are drawn from the network's own distribution, which must be a softmax over "
        f"the outputs {list(outputs.shape)} with the mean cross entropy as loss; choose fisher "
        "or obd, which take any loss"
    )


def output_curvature(data: Data) -> Scalars:
    """Scalars whose squared gradients add up to the diagonal of the Gauss-Newton matrix.

    With B the second derivatives of an example's loss with respect to the outputs z, B = S Sᵀ, and
    J = ∂z/∂w, the diagonal of Jᵀ B J is ``Σ_k (∂(s_kᵀ z)/∂w)²`` over the columns s_k of S. As many
    scalars as B has rank: outputs less one for cross entropy.
    """

    def scalars(outputs: Tensor, targets: Tensor) -> Tensor:
        flat = outputs.detach().flatten()
        if len(flat) > OUTPUTS:
            raise UnsupportedError(
                f"an example has {len(flat)} outputs {list(outputs.shape)}; the second derivative "
                f"of the loss is taken for up to {OUTPUTS}: choose fisher or true-fisher"
            )

        def loss(values: Tensor) -> Tensor:
            return data.loss(values.reshape(outputs.shape), targets)

        curvature: Tensor = torch.autograd.functional.hessian(loss, flat)  # type: ignore[no-untyped-call]
        if not bool(torch.isfinite(curvature).all()):
            raise UsageError("the second derivative of the loss is NaN or infinite")
        values, vectors = torch.linalg.eigh(curvature)
        # A convex loss has no negative ones; rounding leaves some of 1e-8 of the largest.
        present = values > 1e-7 * values.max().clamp(min=torch.finfo(values.dtype).tiny)
        roots = vectors[:, present] * values[present].sqrt()
        along: Tensor = outputs.flatten() @ roots
        return along

    return scalars
