"""Criteria that compare the weights with those before training (arXiv:1905.01067, section 2).

Zhou, Lan, Liu, Yosinski, "Deconstructing Lottery Tickets: Zeros, Signs, and the Supermask". w_f is
the weight now, w_i the one in `Data.initial`. Their ``large_final`` is `Magnitude`, their
``random`` is `Random`, and their ``movement`` is `DistanceMoved`, as `Movement` has the name from
arXiv:2005.07683.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from laconic.errors import MismatchError, UsageError
from laconic.represent import weights
from laconic.saliency.data import Data
from laconic.saliency.saliency import Saliency, Scores


class MaskCriterion(Saliency):
    """A score from a weight's value before and after training, nothing else."""

    needs_initial = True

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """Any kind of layer."""
        present, initial = weights(model), data.initial or {}
        for name in names:
            found = list(initial[name].shape) if name in initial else "nothing"
            if found != list(present[name].shape):
                raise MismatchError(
                    f"{name} has the shape {list(present[name].shape)}, and of before training "
                    f"there is {found}; give the initial weights of the same network by name"
                )
            if not bool(torch.isfinite(initial[name]).all()):
                raise UsageError(f"{name}: a weight of before training is NaN or infinite")
        return {
            name: self.compare(initial[name].detach().to(present[name]), present[name])
            for name in names
        }

    @abstractmethod
    def compare(self, initial: Tensor, final: Tensor) -> Tensor:
        """The scores, from w_i and w_f in the shape of the weight."""


class SmallFinal(Saliency):
    """``−|w_f|``, the control that keeps what others prune; needs no initial weights."""

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """Any kind of layer."""
        present = weights(model)
        return {name: -present[name].abs() for name in names}


class LargeInit(MaskCriterion):
    """``|w_i|``."""

    def compare(self, initial: Tensor, final: Tensor) -> Tensor:
        """The initial magnitude."""
        return initial.abs()


class SmallInit(MaskCriterion):
    """``−|w_i|``."""

    def compare(self, initial: Tensor, final: Tensor) -> Tensor:
        """Less the initial magnitude."""
        return -initial.abs()


class LargeInitLargeFinal(MaskCriterion):
    """``min(α|w_f|, |w_i|)``: large before and after.

    As in the authors' code, α is that of equal percentiles: the lower of the two ranks within the
    layer, from 0 to 1.
    """

    def compare(self, initial: Tensor, final: Tensor) -> Tensor:
        """The lower rank."""
        return torch.minimum(_ranks(initial.abs()), _ranks(final.abs()))


class SmallInitSmallFinal(MaskCriterion):
    """``−max(α|w_f|, |w_i|)``: small before and after; α as for `LargeInitLargeFinal`."""

    def compare(self, initial: Tensor, final: Tensor) -> Tensor:
        """The lower rank by smallness."""
        return torch.minimum(_ranks(-initial.abs()), _ranks(-final.abs()))


class MagnitudeIncrease(MaskCriterion):
    """``|w_f| − |w_i|``."""

    def compare(self, initial: Tensor, final: Tensor) -> Tensor:
        """By how much the magnitude grew."""
        return final.abs() - initial.abs()


class DistanceMoved(MaskCriterion):
    """``|w_f − w_i|``, "movement" in the paper."""

    def compare(self, initial: Tensor, final: Tensor) -> Tensor:
        """How far the weight went."""
        return (final - initial).abs()


class LargeFinalSameSign(MaskCriterion):
    """``max(0, w_f · sign(w_i))``: the magnitude where the sign stayed, else 0 (section 5)."""

    def compare(self, initial: Tensor, final: Tensor) -> Tensor:
        """|w_f| where the signs agree."""
        return (final * initial.sign()).clamp(min=0)


class LargeFinalDifferentSign(MaskCriterion):
    """``max(0, −w_f · sign(w_i))``: the magnitude where the sign changed, else 0 (section 5)."""

    def compare(self, initial: Tensor, final: Tensor) -> Tensor:
        """|w_f| where the signs differ."""
        return (-final * initial.sign()).clamp(min=0)


def _ranks(values: Tensor) -> Tensor:
    """Place in ascending order, as a part of the count; equal values by index."""
    order = values.flatten().argsort(stable=True)
    ranks = torch.empty_like(values).flatten()
    ranks[order] = torch.arange(len(order), device=values.device).to(values) / max(1, len(order))
    return ranks.reshape(values.shape)
