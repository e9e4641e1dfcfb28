"""A torch, safetensors, NumPy or ONNX model ↔ a `.lac` file.

Names load what they need when they are first used: `pack_file` needs NumPy alone, `export_onnx`
onnx, the others torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from laconic.pack.export import export_onnx
    from laconic.pack.fill import LoadReport, load
    from laconic.pack.foreign import pack_file
    from laconic.pack.model import pack, pack_model_bytes
    from laconic.pack.structure import structured
    from laconic.pack.torch_program import capture

_HOMES = {
    "LoadReport": "fill",
    "capture": "torch_program",
    "export_onnx": "export",
    "load": "fill",
    "pack": "model",
    "pack_file": "foreign",
    "pack_model_bytes": "model",
    "structured": "structure",
}

__all__ = [
    "LoadReport",
    "capture",
    "export_onnx",
    "load",
    "pack",
    "pack_file",
    "pack_model_bytes",
    "structured",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'laconic.pack' has no attribute {name!r}")
    return getattr(import_module(f"laconic.pack.{_HOMES[name]}"), name)
