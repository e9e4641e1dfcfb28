"""Neural networks in fewer bits: compress, pack, run, measure.

>>> from laconic import Prune
>>> from laconic.represent import represent
>>> from torch import nn
>>> layer = nn.Linear(100, 10)
>>> represent(layer, Prune(0.9))
Prune(sparsity=0.9)
>>> int((layer.weight != 0).sum())
100

Reading and running a ``.lac`` file (`laconic.container`, `laconic.runtime`) needs NumPy alone;
the names below load torch when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from laconic.pack import load
    from laconic.prune import Prune
    from laconic.quantize import Affine, Uniform
    from laconic.share import Share
    from laconic.train.fit import fit

_HOMES = {
    "Affine": "quantize",
    "Prune": "prune",
    "Share": "share",
    "Uniform": "quantize",
    "fit": "train",
    "load": "pack",
}

_ROOMS = ("container", "coding", "measure", "pack", "recipe", "report", "runtime", "train", "zoo")

__all__ = ["Affine", "Prune", "Share", "Uniform", "fit", "load"]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"laconic.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'laconic' has no attribute {name!r}")
    return getattr(import_module(f"laconic.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, *_ROOMS])
