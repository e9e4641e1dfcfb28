"""Whether a network takes a weight past the layer that holds it: hooks see a part of it then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from laconic.errors import UnsupportedError

TEMPLATES = {
    "to", "type_as", "expand_as", "view_as", "reshape_as",
    "zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like",
    "new_zeros", "new_ones", "new_empty", "new_full", "new_tensor",
}  # fmt: skip
"""Functions that may look at nothing but a weight's type, device or shape."""


class OtherUses(TorchFunctionMode):
    """Within it, functions of torch that get a weight while none of its layers runs are noted.

    ``F.linear(h, embedding.weight)`` is one: hooks on the embedding see the words that are read,
    not h. A subclass of a layer that computes with its weight otherwise than its type does is not
    found out.

    Args:
        owners: weight name → the layers that hold it, and its name there; they get hooks.
    """

    def __init__(self, owners: Mapping[str, Sequence[tuple[nn.Module, str]]]) -> None:
        super().__init__()
        self._running: Counter[str] = Counter()
        self._taken: set[str] = set()
        self._names: dict[int, str] = {}
        for name, layers in owners.items():
            for layer, key in layers:
                self._names[id(attrgetter(key)(layer))] = name
                layer.register_forward_pre_hook(self._count(name, 1))
                layer.register_forward_hook(self._count(name, -1))

    def _count(self, name: str, change: int) -> Callable[..., None]:
        def count(*_: object) -> None:
            self._running[name] += change

        return count

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call the function, and look at what it got."""
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and getattr(func, "__name__", "") not in TEMPLATES:
            for one in _tensors([*args, *(kwargs or {}).values()]):
                name = self._names.get(id(one))
                if name is not None and not self._running[name]:
                    self._taken.add(name)
        return result

    def has_taken(self, name: str) -> bool:
        """Whether a weight was taken past its layer."""
        return name in self._taken

    def check(self, name: str, criterion: object, what: str) -> None:
        """Refuse a weight that was taken past its layer.

        Raises:
            UnsupportedError: it was, by name.
        """
        if self.has_taken(name):
            raise UnsupportedError(
                f"{name}: the network also takes this weight past its layer (as in F.linear(h, "
                f"layer.weight)), so {criterion} sees a part of its {what} alone; call a layer "
                "that shares the weight, or leave this one out"
            )


def _tensors(values: Iterable[Any]) -> Iterable[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple | list):
            yield from _tensors(value)
