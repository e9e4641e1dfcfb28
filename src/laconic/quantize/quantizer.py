"""What every quantizer of activations is: a module that restricts what passes through it."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn


class ActivationQuantizer(nn.Module, ABC):
    """Restricts the values that pass through it, in training as in the exported program.

    As a `Step` for weights, but what it restricts comes new with every batch. A subclass stores its
    constructor's arguments under their own names, lists in `learnt` the buffers and parameters
    that calibration sets, registers each as None, and implements `forward`; one that calibration
    must look at data for also implements `see` and `settle`.
    """

    learnt: ClassVar[tuple[str, ...]] = ()
    """Names of the buffers and parameters that calibration sets."""
    unpacked: ClassVar[tuple[str, ...]] = ()
    """Those of them that training alone needs: no file holds them."""
    scales_outputs: ClassVar[bool] = False
    """Whether it also changes what its layer gives, by `scale_output`."""

    def __init__(self) -> None:
        super().__init__()
        self.watching: str | None = None
        """In calibration the name of its place: values pass unchanged and are looked at."""

    @abstractmethod
    def forward(self, values: Tensor) -> Tensor:
        """The restricted values, same shape and dtype, with the gradient its paper gives it."""

    def see(self, values: Tensor) -> None:
        """Look at a batch in calibration.

        Raises:
            UsageError: it holds NaN or infinity; the calibration adds the layer's name.
        """

    def settle(self) -> None:
        """Set what is learnt from all that was seen, and forget that.

        Raises:
            UsageError: nothing was seen, or only a constant; the calibration adds the name.
        """

    def scale_output(self, layer: nn.Module, result: Tensor) -> Tensor:
        """What becomes of the layer's result, where `scales_outputs` says so."""
        return result

    @property
    def configuration(self) -> dict[str, Any]:
        """The constructor's arguments by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @property
    def is_calibrated(self) -> bool:
        """Whether calibration, or a state dict, has given it what it learns."""
        needed = set(self.learnt) - set(self.unpacked)
        return all(getattr(self, name) is not None for name in needed)

    def extra_repr(self) -> str:
        """The constructor's arguments, so that `str(quantizer)` is the constructor call."""
        return ", ".join(f"{name}={value!r}" for name, value in self.configuration.items())

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *rest: Any, **named: Any
    ) -> None:
        # Rebuilt, it is not calibrated yet: give each learnt tensor the saved one's shape first.
        for name in self.learnt:
            saved = state_dict.get(prefix + name)
            if saved is None:
                continue
            self.check_loaded(name, saved, prefix.rstrip("."))
            if getattr(self, name) is None:
                empty = torch.empty_like(saved)
                trained = name in self._parameters
                setattr(self, name, nn.Parameter(empty) if trained else empty)
        super()._load_from_state_dict(state_dict, prefix, *rest, **named)

    def check_loaded(self, name: str, saved: Tensor, path: str) -> None:
        """Refuse a saved value that this quantizer cannot have; the message begins with `path`.

        Raises:
            MismatchError: it is not on the grid.
        """
