"""The one idea: a compressed weight is a dense tensor whose values are restricted.

Each restriction is a `Step`; a `Grid` is a Step with finitely many values, kept as integers.
The Steps of one weight form a chain, which lives as a torch parametrization (`chain.py`).
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from laconic.errors import UsageError

FileForm = Literal["codebook", "uniform", "any", "products"]


class Step(nn.Module, ABC):
    """Restricts the values of a weight; keeps its shape; applied twice it is the same as once.

    A subclass stores its constructor's arguments unchanged under their own names (so that
    `configuration` is the constructor call), lists in `learnt` the buffers and parameters that
    `fit` sets, registers each as None in its constructor, and implements `fit` and `forward`.

    A new Step is one file with one subclass, one line in the room's `STEPS`, one test file;
    `tests/contracts/test_steps.py` runs over every entry of `STEPS`.
    """

    learnt: ClassVar[tuple[str, ...]] = ()
    """Names of the buffers and parameters that `fit` sets."""
    placed: ClassVar[tuple[str, ...]] = ()
    """Those of them that hold a value for each place of the weight, in its shape."""
    decays: ClassVar[bool] = True
    """Whether weight decay may act on the latent weight; of signs it would move those near 0."""

    @abstractmethod
    def fit(self, weight: Tensor) -> None:
        """Choose mask, scale or codebook from `weight` (any shape), once and without gradient.

        Raises:
            UsageError: the weight cannot be restricted so; the chain adds the layer's name.
        """

    @abstractmethod
    def forward(self, weight: Tensor) -> Tensor:
        """The restricted weight, same shape and dtype, with the gradient its paper gives it.

        Zeros of `weight` stay zero (a Step later in a chain keeps what an earlier one gained),
        and no -0.0 appears.
        """

    def along(self, name: str, dim: int) -> int | None:
        """Along which dimension a learnt tensor follows dimension `dim` of the weight, if any.

        Where places of the weight are removed, so are those of what was learnt.
        """
        return dim if name in self.placed else None

    @property
    def configuration(self) -> dict[str, Any]:
        """The constructor's arguments by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @property
    def is_fitted(self) -> bool:
        """Whether `fit`, or a state dict, has given this step what it learns."""
        return all(getattr(self, name) is not None for name in self.learnt)

    def extra_repr(self) -> str:
        """The constructor's arguments, so that `str(step)` is the constructor call."""
        return ", ".join(f"{name}={value!r}" for name, value in self.configuration.items())

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *rest: Any, **named: Any
    ) -> None:
        # A rebuilt step is not fitted yet: give each learnt tensor the saved one's shape first.
        for name in self.learnt:
            saved = state_dict.get(prefix + name)
            if getattr(self, name) is None and saved is not None:
                empty = torch.empty_like(saved)
                trained = name in self._parameters
                setattr(self, name, nn.Parameter(empty) if trained else empty)
        super()._load_from_state_dict(state_dict, prefix, *rest, **named)


class Grid(Step):
    """A Step with finitely many values: integers (`codes`) and the floats they stand for.

    For scalar grids code 0 is exactly 0.0, so that every coder and kernel sees every zero.
    ``values(codes(w))`` equals ``forward(w)`` bit for bit, in torch, in NumPy and in the file;
    for half and bfloat16 weights after rounding to their dtype.
    """

    form: ClassVar[FileForm] = "codebook"
    """How a file keeps the values: a table of them, integers times a scale, codes of
    runs of values, or what is smallest."""

    @abstractmethod
    def codes(self, weight: Tensor) -> Tensor:
        """Integers, int32, for scalar grids of the weight's shape."""

    @abstractmethod
    def values(self, codes: Tensor) -> Tensor:
        """The floats that `codes` stand for; of product codes as a matrix, ``[rows, columns]``."""

    def tables(self) -> dict[str, Tensor]:
        """What the file's form needs beside the codes (``scale`` and ``axis`` for uniform)."""
        return {}


class _StraightThrough(torch.autograd.Function):
    """The torch form of `straight_through`."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, restricted: Tensor, inside: Tensor) -> Tensor:
        """The restricted weight."""
        ctx.save_for_backward(inside)
        return restricted

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """The gradient where the latent weight is inside the grid's range, else 0."""
        (inside,) = ctx.saved_tensors
        return torch.where(inside, gradients[0], 0.0), None, None


def straight_through(weight: Tensor, restricted: Tensor, inside: Tensor) -> Tensor:
    """`restricted` forwards; backwards the gradient of the identity where `inside` is true.

    Bengio et al., arXiv:1308.3432. Unlike ``w + (q - w).detach()`` the forward value is
    `restricted` itself, bit for bit. All three have the weight's shape.
    """
    result: Tensor = _StraightThrough.apply(weight, restricted, inside)  # type: ignore[no-untyped-call]
    return result


def fitted(step: Step, name: str) -> Tensor:
    """A learnt tensor of a step.

    Raises:
        UsageError: `fit` has not run.
    """
    value = getattr(step, name)
    if value is None:
        raise UsageError(f"{step} has no {name} yet: call fit(weight), or represent(module, step)")
    return torch.as_tensor(value)
