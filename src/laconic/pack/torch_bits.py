"""Torch tensors ↔ the bits and dtype names of a `.lac` file."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from laconic.container.dtypes import DTYPES, Bits
from laconic.errors import UnsupportedError

TORCH_DTYPES = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F64": torch.float64,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "U8": torch.uint8,
    "U16": torch.uint16,
    "U32": torch.uint32,
    "U64": torch.uint64,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E8M0": torch.float8_e8m0fnu,
    "C64": torch.complex64,
}
"""The file's dtype → torch's."""
FILE_DTYPES = {dtype: name for name, dtype in TORCH_DTYPES.items()}
_SIGNED = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def bits_of(name: str, tensor: Tensor) -> tuple[Bits, str]:
    """The tensor's bits as unsigned integers of its shape, and the file's name of its dtype.

    Raises:
        UnsupportedError: a dtype, layout or device whose values a file cannot hold.

    Examples:
        >>> bits_of("w", torch.tensor([1.0, -0.0]))
        (array([1065353216, 2147483648], dtype=uint32), 'F32')
    """
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type == "meta":
        kind = "has no values (device meta)" if tensor.device.type == "meta" else "is not dense"
        raise UnsupportedError(f"{name}: the tensor {kind}; a file holds dense tensors")
    if tensor.dtype not in FILE_DTYPES:
        known = ", ".join(str(dtype).removeprefix("torch.") for dtype in FILE_DTYPES)
        raise UnsupportedError(f"{name}: {tensor.dtype} cannot be stored; a file holds {known}")
    dtype = FILE_DTYPES[tensor.dtype]
    # resolve_conj: a conjugated complex view has the bits of what it views.
    flat = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    integers = flat.view(_SIGNED[tensor.element_size()]).numpy()
    return integers.view(DTYPES[dtype].bits).reshape(tuple(tensor.shape)), dtype


def tensor_of(bits: Bits, dtype: str) -> Tensor:
    """The torch tensor with these bits; it owns its memory.

    Examples:
        >>> tensor_of(np.array([16256], np.uint16), "BF16")
        tensor([1.], dtype=torch.bfloat16)
    """
    width = bits.dtype.itemsize
    flat = np.array(bits, order="C").reshape(-1).view(f"<i{width}")
    return torch.from_numpy(flat).view(TORCH_DTYPES[dtype]).reshape(bits.shape)
