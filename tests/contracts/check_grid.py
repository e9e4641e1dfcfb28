"""What every Grid promises beyond a Step, checked on one weight: torch, NumPy and file agree."""

from __future__ import annotations

import numpy as np
import torch
from check_step import Maker, same_bits
from torch import Tensor

from laconic.container import StoredTensor, codebook, products, uniform
from laconic.represent import Grid

FILE_DTYPES = {
    torch.float32: ("F32", torch.int32, np.uint32),
    torch.float16: ("F16", torch.int16, np.uint16),
    torch.bfloat16: ("BF16", torch.int16, np.uint16),
    torch.float64: ("F64", torch.int64, np.uint64),
}


def bits_of(tensor: Tensor) -> np.ndarray:
    """The bits of a float tensor as unsigned integers."""
    _, integer, unsigned = FILE_DTYPES[tensor.dtype]
    return tensor.detach().contiguous().view(integer).numpy().view(unsigned)


def stored(grid: Grid, weight: Tensor) -> StoredTensor:
    """The weight as the grid's form puts it into a file."""
    dtype = FILE_DTYPES[weight.dtype][0]
    if grid.form == "uniform" and dtype != "F64":
        axis = int(grid.tables()["axis"])
        scale = grid.tables()["scale"].numpy()
        codes = grid.codes(weight).numpy()
        return uniform("w", codes, scale, None if axis < 0 else axis, dtype=dtype)
    if grid.form == "products" and weight.numel():
        books = bits_of(grid.tables()["codebooks"] + 0.0)
        return products("w", grid.codes(weight).numpy(), books, tuple(weight.shape), dtype)
    return codebook("w", bits_of(grid(weight)), dtype)


def restricted(grid: Grid, codes: Tensor, like: Tensor) -> Tensor:
    """What `codes` stand for; those of a product quantizer stand for the weight as a matrix."""
    values = grid.values(codes).to(like.dtype)
    return values.reshape(like.shape) if grid.form == "products" else values


def check_grid(make: Maker, weight: Tensor) -> None:
    """Codes are few and stand for exactly what `forward` gives, in torch and in the file.

    Args:
        make: gives a grid that is not fitted.
        weight: finite floats of any shape and dtype.
    """
    grid = make()
    assert isinstance(grid, Grid)
    grid.fit(weight)
    codes, once = grid.codes(weight), grid(weight)
    assert codes.dtype == torch.int32
    assert same_bits(restricted(grid, codes, once), once), f"{grid}: values(codes) ≠ forward"
    assert same_bits(restricted(grid, grid.codes(once), once), once), f"{grid}: codes drift"
    if codes.shape == weight.shape:
        check_scalar(grid, codes, weight)
    tensor = stored(grid, weight)
    assert tensor.bits.shape == weight.shape
    assert np.array_equal(tensor.bits, bits_of(once)), f"{grid}: the file holds other values"


def check_scalar(grid: Grid, codes: Tensor, weight: Tensor) -> None:
    """Code 0 is exactly 0.0, every zero has it; a grid of `bits` has ``2^bits`` at most.

    With several scales, that is for each scale.
    """
    zero = grid.values(torch.zeros_like(codes))
    assert same_bits(zero, torch.zeros_like(zero)), f"{grid}: code 0 is not 0.0"
    assert bool((codes[weight == 0] == 0).all()), f"{grid}: a zero has another code than 0"
    if "bits" not in grid.configuration:
        return  # its number of values is its own affair
    axis = int(grid.tables().get("axis", -1))
    for channel in [codes] if axis < 0 else codes.unbind(axis):
        levels = len(channel.unique())
        allowed = 2 ** grid.configuration["bits"] + getattr(grid, "zero_beside", False)
        assert levels <= allowed, f"{grid}: {levels} codes"
