"""What the tests of masks share; `masking` is imported by its plain name."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from laconic.container import LacFile
from laconic.pack import pack
from laconic.represent import represent

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def packed_bytes(tmp_path):
    """A step (or None) → the bytes of a packed 3×3 convolution's weight under it."""

    def measure(step):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layer = nn.Conv2d(32, 64, 3)
        if step is not None:
            represent(layer, step)
        pack(layer, tmp_path / "x.lac", program=False)
        with LacFile(tmp_path / "x.lac") as file:
            return file.entries["weight"].length

    return measure
