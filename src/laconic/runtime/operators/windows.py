"""Where the windows of a convolution or a pooling stand, in any number of spatial dimensions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from laconic.runtime.operators.arrays import Array

Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Windows:
    """The geometry of one Conv or Pool node; every field has one entry per spatial dimension.

    Examples:
        >>> Windows.place((28, 28), (5, 5), strides=(2, 2), pads=(2, 2, 2, 2)).counts
        (14, 14)
    """

    kernel: Sizes
    strides: Sizes
    dilations: Sizes
    begins: Sizes
    """Cells added before the first."""
    ends: Sizes
    """Cells added after the last that the node asks for."""
    excess: Sizes
    """Cells that ceil_mode reaches beyond `ends`."""
    counts: Sizes
    """How many windows there are."""

    @staticmethod
    def place(
        sizes: Sizes,
        kernel: Sizes,
        *,
        strides: Sizes | None = None,
        pads: Sizes | None = None,
        dilations: Sizes | None = None,
        auto_pad: str = "NOTSET",
        ceil_mode: int = 0,
    ) -> Windows:
        """The windows over an input of these spatial sizes, as ONNX defines them.

        Raises:
            ValueError: the attributes contradict the sizes, or no window fits.
        """
        rank = len(sizes)
        strides, dilations = strides or (1,) * rank, dilations or (1,) * rank
        pads = pads or (0,) * (2 * rank)
        if not len(kernel) == len(strides) == len(dilations) == len(pads) // 2 == rank:
            raise ValueError(f"an input of {rank} spatial dimensions and a kernel of {len(kernel)}")
        if min((*kernel, *strides, *dilations), default=1) < 1 or min(pads, default=0) < 0:
            raise ValueError("a kernel size, stride or dilation below 1, or a negative pad")
        reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True))
        begins, ends = pads[:rank], pads[rank:]
        if auto_pad not in ("NOTSET", ""):
            begins, ends = _automatic(auto_pad, sizes, reach, strides)
        counts, excess = [], []
        for size, begin, end, span, stride in zip(sizes, begins, ends, reach, strides, strict=True):
            room = size + begin + end - span
            count = (-(-room // stride) if ceil_mode else room // stride) + 1
            if ceil_mode and (count - 1) * stride >= size + begin:
                count -= 1  # a window must start inside the input or the padding before it
            if count < 1:
                raise ValueError(f"a window of {span} does not fit into {size + begin + end} cells")
            counts.append(count)
            excess.append(max((count - 1) * stride - room, 0))
        return Windows(kernel, strides, dilations, begins, ends, tuple(excess), tuple(counts))

    def padded(self, x: Array, value: float) -> Array:
        """`x`, shape ``[..., *sizes]``, with `value` in all the cells around it."""
        if not any(self.begins + self.ends + self.excess):
            return x
        rank = len(self.kernel)
        sizes = x.shape[x.ndim - rank :]
        edges = zip(sizes, self.begins, self.ends, self.excess, strict=True)
        out = np.full(x.shape[: x.ndim - rank] + tuple(map(sum, edges)), value, x.dtype)
        inside = [slice(b, b + n) for b, n in zip(self.begins, sizes, strict=True)]
        index: tuple[Any, ...] = (Ellipsis, *inside)
        out[index] = x
        return out

    def cells(self, padded: Array) -> Iterator[Array]:
        """For each cell of the kernel, in C order, what every window sees there.

        Each array is a view of shape ``[..., *counts]``.
        """
        for cell in itertools.product(*(range(size) for size in self.kernel)):
            starts = [i * d for i, d in zip(cell, self.dilations, strict=True)]
            spans = zip(starts, self.strides, self.counts, strict=True)
            seen = [slice(at, at + s * (n - 1) + 1, s) for at, s, n in spans]
            index: tuple[Any, ...] = (Ellipsis, *seen)
            yield padded[index]

    def columns(self, padded: Array) -> Array:
        """What each window sees, unrolled ("im2col").

        Shape ``[n, channels, *sizes]`` becomes ``[n, channels, cells, windows]``.
        """
        images, channels = padded.shape[:2]
        cells = math.prod(self.kernel)
        out = np.empty((images, channels, cells, *self.counts), padded.dtype)
        for index, cell in enumerate(self.cells(padded)):
            out[:, :, index] = cell
        return out.reshape(images, channels, cells, math.prod(self.counts))


def _automatic(mode: str, sizes: Sizes, reach: Sizes, strides: Sizes) -> tuple[Sizes, Sizes]:
    """Pads before and after for auto_pad: SAME gives ceil(size / stride) windows."""
    if mode == "VALID":
        return (0,) * len(sizes), (0,) * len(sizes)
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise ValueError(f"auto_pad {mode!r} is none of NOTSET, VALID, SAME_UPPER, SAME_LOWER")
    total = [
        max((-(-size // stride) - 1) * stride + span - size, 0)
        for size, span, stride in zip(sizes, reach, strides, strict=True)
    ]
    less, more = tuple(n // 2 for n in total), tuple(n - n // 2 for n in total)
    return (less, more) if mode == "SAME_UPPER" else (more, less)
