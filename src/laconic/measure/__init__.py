"""Bytes, parameters, MACs, memory, latency and accuracy: before and after, side by side.

Importing this room loads no torch: the report needs the receipts alone.
"""

from laconic.measure.receipts import (
    Latency,
    Measurement,
    Receipt,
    TensorRecord,
    dense_receipt,
    from_json,
    read,
    to_json,
)

__all__ = [
    "Latency",
    "Measurement",
    "Receipt",
    "TensorRecord",
    "dense_receipt",
    "from_json",
    "read",
    "to_json",
]
