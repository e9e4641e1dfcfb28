#!/usr/bin/env python3
"""Write the seeds of fuzz_decoders.cc into a folder: what reading the contract's arrays decodes.

Each call of a native decoder becomes a file in the layout that the target reads. The same arrays
give the same files.
"""

from __future__ import annotations

import hashlib
import itertools
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contracts"))

import numpy as np
from check_coder import cases

from laconic.coding import CODERS, Reader, kernels, rans
from laconic.errors import CodingError

MOST_ITEMS, MOST_BYTES = 20_000, 8_192
BITS, HUFFMAN, RANS, GAP, BITMAP, PLANES, CONTEXT = range(7)


def head(decoder: int, items: Any, *numbers: int) -> bytes:
    """The decoder, the item type, and numbers of two bytes each."""
    kind = items.dtype.itemsize.bit_length() - 1
    return bytes([decoder, kind]) + struct.pack(f"<{len(numbers)}H", *numbers)


def unpack_bits(data: Any, width: int, out: Any) -> bytes:
    return head(BITS, out) + bytes([width + 1]) + out.size.to_bytes(2, "little") + data.tobytes()


def huffman_decode(data: Any, symbols: Any, lengths: Any, out: Any) -> bytes:
    sizes = struct.pack("<HH", symbols.size, out.size)
    return head(HUFFMAN, out) + b"\0" + sizes + lengths.tobytes() + data.tobytes()


def rans_decode(
    data: Any, symbols: Any, frequencies: Any, precision: int, lanes: int, out: Any
) -> bytes:
    sizes = bytes([0, precision, lanes]) + struct.pack("<HH", symbols.size, out.size)
    return head(RANS, out) + sizes + frequencies.tobytes() + data.tobytes()


def gap_join(gaps: Any, values: Any, dense: Any) -> bytes:
    sizes = struct.pack("<HH", dense.size, gaps.size)
    return head(GAP, dense) + b"\5" + sizes + gaps.tobytes() + values.tobytes()


def bitmap_join(bits: Any, values: Any, dense: Any) -> bytes:
    return head(BITMAP, dense, dense.size, values.size) + values.tobytes() + bits.tobytes()


def plane_join(plane: Any, index: int, turn: int, items: Any) -> bytes:
    return head(PLANES, items) + bytes([turn]) + items.tobytes()


def context_decode(
    data: Any, columns: int, kernel: int, width: int, origin: int, exponent: int, out: Any
) -> bytes:
    shape = bytes([0, width, kernel]) + struct.pack("<HHB", columns, out.size, exponent)
    start = origin.to_bytes(out.dtype.itemsize, "little")
    return head(CONTEXT, out) + shape + start + data.tobytes()


RECORDED: dict[str, Callable[..., bytes]] = {
    function.__name__: function
    for function in (
        unpack_bits, huffman_decode, rans_decode, gap_join, bitmap_join, plane_join, context_decode
    )
}  # fmt: skip


def recording(real: Any, folder: Path) -> Any:
    """The kernels, which write a seed for each call of a decoder."""

    def recorder(name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            result = getattr(real, name)(*arguments)
            arrays = [a for a in arguments if hasattr(a, "size")]
            numbers = [a for a in arguments if not hasattr(a, "size")]
            fits = max(a.size for a in arrays) <= MOST_ITEMS
            if fits and (name != "context_decode" or max(numbers[:3]) < 2**16):
                seed = RECORDED[name](*arguments)
                if len(seed) <= MOST_BYTES:
                    (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
            return result

        return call

    known = {name: getattr(real, name) for name in dir(real) if not name.startswith("_")}
    return SimpleNamespace(**known | {name: recorder(name) for name in RECORDED})


def decode_with_all_lanes(active: Any, codes: Any) -> None:
    """Through 32 states, which our encoder takes for payloads longer than any seed alone."""
    plan = rans.plan(codes)
    if plan.symbols.size > 1:
        room = np.empty(4 * rans.MOST_LANES + 2 * codes.size, np.uint8)
        model = plan.symbols, plan.frequencies, plan.precision, rans.MOST_LANES
        begin = active.rans_encode(plan.items, *model, room)
        active.rans_decode(room[begin:].copy(), *model, np.empty_like(plan.items))


def main() -> None:
    """Write the seeds of every coder and every array into the folder that the command names."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    real = kernels.active
    for coder, codes in itertools.product(CODERS.values(), cases().values()):
        try:
            data = coder.encode(codes)
        except CodingError:
            continue
        kernels.active = recording(real, folder)
        coder.decode(Reader(data), codes.shape, codes.dtype)
        if coder is CODERS["rans"] and codes.size:
            decode_with_all_lanes(kernels.active, codes)
        kernels.active = real
    print(f"{len(list(folder.iterdir()))} seeds")


if __name__ == "__main__":
    main()
