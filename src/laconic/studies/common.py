"""What several studies do: train a network once, and say what a file became."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from laconic.measure import Receipt
from laconic.studies.study import Row
from laconic.train import load_model, save_model


def once(path: Path, fresh: Callable[[], nn.Module], train: Callable[[], nn.Module]) -> nn.Module:
    """A network that is trained at its first use, and read from `path` from then on.

    Args:
        path: the file of its weights, cuts and chains.
        fresh: draws a network that the file can be loaded into.
        train: draws and trains it.
    """
    if path.exists():
        model = fresh()
        load_model(path, model)
        return model
    model = train()
    save_model(path, model)
    return model


def file_row(name: str, dense: Receipt, last: Receipt) -> Row:
    """Bytes of the file, which must be fewer, and milliseconds, before and after."""
    return Row(
        f"{name}the file, and its time (batch 1)", "", "fewer bytes",
        f"{dense.size_bytes:,} → {last.size_bytes:,} bytes, "
        f"{dense.latency.median_ms:.3f} → {last.latency.median_ms:.3f} ms",
        last.size_bytes < dense.size_bytes,
    )  # fmt: skip
