"""BatchNorm folded into the layer before it: one layer with a bias, exact to rounding."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from laconic.errors import UnsupportedError, UsageError
from laconic.represent import Grid, chain, plain
from laconic.surgery.cut import Cut, apply_cut
from laconic.surgery.export import Example
from laconic.surgery.merge import traffic
from laconic.surgery.remove import TOLERANCE, difference, outputs

FOLDING = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def fold_batchnorm(model: nn.Module, example: Example) -> Cut:
    """Fold every BatchNorm into the linear layer or convolution before it, in place.

    ``w ← w · γ/√(σ² + ε)`` and ``b ← β + (b − μ) · γ/√(σ² + ε)``, with the running statistics
    (Jacob et al., arXiv:1712.05877, equation 14); the norm becomes an identity. Compared on a copy
    before: outputs in eval mode stay within 1e-5 of the largest. Training afterwards trains the
    folded weights, whose norms have no statistics any more.

    Zeros stay zero, under masks too. A BatchNorm behind anything else stays as it is.

    Args:
        model: with or without chains; fold before a grid is put on a weight.
        example: as the network takes it; random numbers will do.

    Returns:
        What was done, as data: `apply_cut` does it again on a fresh network.

    Raises:
        UsageError: no BatchNorm stands behind a linear layer or a convolution.
        UnsupportedError: by name: a grid restricts the weight, activations are quantized, the layer
            or the norm is called more than once, or something else reads what lies between.

    Examples:
        >>> import torch
        >>> network = nn.Sequential(nn.Linear(4, 3, bias=False), nn.BatchNorm1d(3))
        >>> fold_batchnorm(network, torch.randn(2, 4)).folded
        [['0', '1']]
        >>> network
        Sequential(
          (0): Linear(in_features=4, out_features=3, bias=True)
          (1): Identity()
        )
    """
    _refuse_quantizers(model)
    takers, calls = traffic(model, example)
    pairs = [
        [first, norm]
        for first, norm in takers.items()
        if isinstance(model.get_submodule(first), FOLDING) and _folds(model.get_submodule(norm))
    ]
    if not pairs:
        raise UsageError(
            "no BatchNorm with running statistics stands right behind a linear layer or a "
            "convolution; there is nothing to fold"
        )
    for first, norm in pairs:
        for path in (first, norm):
            if calls[path] > 1:
                raise UnsupportedError(
                    f"{first}: BatchNorm folds into a layer that is called once, and the network "
                    f"calls {path} {calls[path]} times"
                )
        _refuse_grids(model.get_submodule(first), first)
    cut = Cut(folded=pairs)
    _compare(model, example, cut)
    apply_cut(model, cut)
    return cut


def _folds(norm: nn.Module) -> bool:
    return isinstance(norm, _BatchNorm) and norm.running_mean is not None


def _refuse_quantizers(model: nn.Module) -> None:
    for path, layer in model.named_modules():
        own = [name for name, _ in layer.named_children() if name != "parametrizations"]
        if own and isinstance(layer, FOLDING):
            raise UnsupportedError(
                f"{path}: it has an {own[0]}, which was made for the network as it is; fold "
                "BatchNorm before quantizing activations"
            )


def _refuse_grids(layer: nn.Module, path: str) -> None:
    for name in ("weight", "bias"):
        # A folded bias is no longer zero where it was; a folded weight is.
        grids = [s for s in chain(layer, name) if name == "bias" or isinstance(s, Grid)]
        if grids:
            raise UnsupportedError(
                f"{path}.{name}: {grids[0]} restricts it, and a fold would take it off its values; "
                "fold BatchNorm before quantizing or sharing"
            )


def _compare(model: nn.Module, example: Example, cut: Cut) -> None:
    before, after = plain(model).cpu(), plain(model).cpu()
    apply_cut(after, cut)
    off = difference(outputs(before, example), outputs(after, example))
    if off <= TOLERANCE:
        return
    for first, norm in cut.folded:
        alone = plain(model).cpu()
        apply_cut(alone, Cut(folded=[[first, norm]]))
        own = difference(outputs(before, example), outputs(alone, example))
        if own > TOLERANCE:
            raise UnsupportedError(
                f"{first} and {norm} are not one layer: folded, the outputs differ by {own:.2g}; "
                f"what {first} gives is read elsewhere too, or is changed on the way"
            )
    raise UnsupportedError(f"with all BatchNorms folded the outputs differ by {off:.2g}")
