"""A torch, safetensors, NumPy or ONNX model ↔ a `.lac` file."""

from laconic.pack.capture import capture
from laconic.pack.fill import LoadReport, load
from laconic.pack.model import pack, pack_model_bytes
from laconic.pack.structure import structured

__all__ = ["LoadReport", "capture", "load", "pack", "pack_model_bytes", "structured"]
