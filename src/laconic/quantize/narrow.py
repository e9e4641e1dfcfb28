"""Weights that are numbers of fewer bits: half precision and float8, as storage."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from laconic.errors import UsageError
from laconic.quantize.fixed import refuse_zeros
from laconic.represent import Grid, straight_through
from laconic.represent.step import FileForm

FORMATS: dict[str, torch.dtype] = {
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "e4m3": torch.float8_e4m3fn,
    "e5m2": torch.float8_e5m2,
}
"""Name in a recipe → the numbers."""
_INTEGERS = {1: torch.int8, 2: torch.int16}


class Narrow(Grid):
    """Rounds each weight to the nearest number of a narrower float format; the dtype stays.

    bfloat16 (8 digits, the range of float32), float16 (11 digits, to 65,504), and the two float8 of
    Micikevicius et al., arXiv:2209.05433: e4m3 (4 digits, 2^−9 to 448) and e5m2 (3 digits, 2^−16 to
    57,344). What is beyond saturates, and has no gradient; elsewhere it is straight through. A file
    needs no more than 2 bytes or 1 a value before entropy coding: byte planes that are all zeros
    cost nothing. A code is the number's bits without the sign bit, times the sign.

    Args:
        format: ``"bfloat16"``, ``"float16"``, ``"e4m3"`` or ``"e5m2"``.

    Raises:
        UsageError: no such format; every weight would become 0.

    Examples:
        >>> step = Narrow("e4m3")
        >>> step(torch.tensor([0.3, -1000.0, 0.0001])).tolist()
        [0.3125, -448.0, 0.0]
    """

    form: ClassVar[FileForm] = "any"

    def __init__(self, format: str) -> None:
        super().__init__()
        if format not in FORMATS:
            raise UsageError(f"no format is named {format!r}; there are: {', '.join(FORMATS)}")
        self.format = format

    def fit(self, weight: Tensor) -> None:
        """Nothing is learnt.

        Raises:
            UsageError: every weight would become 0.
        """
        smallest = torch.finfo(FORMATS[self.format]).smallest_normal
        refuse_zeros(
            weight,
            self(weight.detach()),
            f"the smallest normal number of {self.format} is {smallest:g}; take another format",
        )

    def codes(self, weight: Tensor) -> Tensor:
        """Signed magnitudes of the nearest numbers, ties to even, saturating."""
        top = self._top(weight.dtype)
        latent = weight.detach().float().clamp(-top, top)
        narrow = latent.abs().to(FORMATS[self.format])
        bits = narrow.view(_INTEGERS[narrow.element_size()]).to(torch.int32)
        return bits * torch.sign(latent).to(torch.int32)

    def values(self, codes: Tensor) -> Tensor:
        """The numbers, in float32."""
        integers = _INTEGERS[FORMATS[self.format].itemsize]
        # Not -0.0 where the code is 0: 0.0 times 1.
        sign = torch.where(codes < 0, -1.0, 1.0)
        return codes.abs().to(integers).view(FORMATS[self.format]).float() * sign

    def forward(self, weight: Tensor) -> Tensor:
        """The nearest number; straight through where it does not saturate."""
        values = self.values(self.codes(weight)).to(weight.dtype)
        return straight_through(weight, values, weight.detach().abs() <= self._top(weight.dtype))

    def _top(self, dtype: torch.dtype) -> float:
        """The largest number that both formats have."""
        most = min(torch.finfo(dtype).max, torch.finfo(FORMATS[self.format]).max)
        top = torch.tensor(most).to(FORMATS[self.format])
        if float(top) > most:
            top = (top.view(_INTEGERS[top.element_size()]) - 1).view(top.dtype)
        return float(top)
