"""How much a weight or a channel matters: an array of scores, the lowest may go first."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from laconic.errors import PatternError, UsageError
from laconic.represent import weights
from laconic.saliency.data import Data

Scores = dict[str, Tensor]


class Saliency(ABC):
    """Scores the weights of a network: what scores lowest may go first.

    A subclass stores its constructor's arguments unchanged under their own names and implements
    `measure`; a new one is one file, one line in `SALIENCIES`, one test, one line of docs, and
    `tests/contracts/test_saliencies.py` runs over every entry.
    """

    needs_data: bool = False
    """Whether `measure` looks at examples."""
    needs_initial: bool = False
    """Whether `measure` looks at the weights before training, `Data.initial`."""
    per_channel: bool = False
    """Whether there is a score for each output channel (row of the weight), not each weight."""

    @abstractmethod
    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """The scores; `model` is in eval mode, gradients are on, and nothing may be left changed.

        Args:
            model: with or without chains; it is scored as it computes.
            names: of weights, as `represent.weights` gives them.
            data: not to be touched unless `needs_data` or `needs_initial` is true.

        Returns:
            Name → scores in the weight's shape, or ``[outputs]`` where `per_channel` is true.

        Raises:
            UnsupportedError: a layer that cannot be scored so, by name.
        """

    def scores(
        self, model: nn.Module, names: Sequence[str] | None = None, data: Data | None = None
    ) -> Scores:
        """Score weights by name; the model is left as it was.

        Args:
            model: the network, with or without chains.
            names: of weights; None: all of them.
            data: training examples, where `needs_data` is true.

        Returns:
            Name → scores, finite, in the weight's shape, or ``[outputs]`` where `per_channel`.

        Raises:
            PatternError: no weight has such a name.
            UsageError: data are needed and there are none, or a weight, an input or a score is
                not finite.
            UnsupportedError: a layer that cannot be scored so, by name.

        Examples:
            >>> from laconic.saliency import Magnitude
            >>> layer = nn.Linear(2, 1)
            >>> bool((Magnitude().scores(layer)["weight"] == layer.weight.abs()).all())
            True
        """
        known = weights(model)
        names = list(known) if names is None else list(names)
        for name in names:
            if name not in known:
                raise PatternError(name, known)
            bad = int((~torch.isfinite(known[name])).sum())
            if bad:
                raise UsageError(
                    f"{name}: {bad} of {known[name].numel()} weights are NaN or infinite"
                )
        if self.needs_data and data is None:
            raise UsageError(f"{self} is measured on training examples; give it a task")
        if self.needs_initial and (data is None or data.initial is None):
            raise UsageError(
                f"{self} compares with the weights before training; give it Data(initial=…)"
            )
        modes = [(module, module.training) for module in model.modules()]
        gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
        model.eval()
        try:
            with torch.enable_grad(), torch.random.fork_rng():
                found = self.measure(model, names, data)  # type: ignore[arg-type]
        finally:
            for module, mode in modes:
                module.training = mode
            for parameter, gradient in gradients:
                parameter.grad = gradient
        return {name: self._checked(name, found[name].detach(), known[name]) for name in names}

    def _checked(self, name: str, scores: Tensor, weight: Tensor) -> Tensor:
        shape = weight.shape[:1] if self.per_channel else weight.shape
        if scores.shape != shape:
            raise AssertionError(f"{self} gave {list(scores.shape)} for {name} {list(shape)}")
        bad = int((~torch.isfinite(scores)).sum())
        if bad:
            raise UsageError(
                f"{name}: {bad} of {scores.numel()} scores of {self} are NaN or infinite; look for "
                "NaN in the data or the weights"
            )
        return scores

    @property
    def configuration(self) -> dict[str, Any]:
        """The constructor's arguments by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.configuration.items())
        return f"{type(self).__name__}({given})"
