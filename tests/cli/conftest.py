"""The command line in this process, and files to give it."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from laconic.cli import commands, show
from laconic.pack import pack

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_task.py"
TINY = Path(__file__).parents[1] / "recipe" / "tiny.py"


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on the standard output; anything else there is an error."""
        return json.loads(self.out)


@pytest.fixture
def laconic(monkeypatch, capfd):
    """Runs ``laconic WORDS``; file descriptors are captured, so nothing escapes."""
    for console in (show.console, show.errors):
        monkeypatch.setattr(console, "width", 300)

    def call(*words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["laconic", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            commands.main()
        out, err = capfd.readouterr()
        return Ended(ended.value.code or 0, out, err)

    return call


class Several(nn.Module):
    """Two inputs, two outputs."""

    def forward(self, left, right):
        return left + right, left - right


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> Path:
    """A folder of packed networks: tiny.lac, several.lac, weights.lac, fixed.lac."""
    folder = tmp_path_factory.mktemp("files")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 3))
    pack(model, folder / "tiny.lac", example_input=torch.ones(1, 16))
    pack(model, folder / "weights.lac", program=False)
    pack(nn.Linear(4, 2), folder / "fixed.lac", example_input=torch.ones(3, 4), dynamic_batch=False)
    pair = (torch.ones(1, 2), torch.ones(1, 2))
    pack(Several(), folder / "several.lac", example_input=pair)
    np.save(folder / "rows.npy", np.ones((5, 16), np.float32))
    return folder


@pytest.fixture
def example() -> Path:
    return EXAMPLE


@pytest.fixture
def tiny() -> Path:
    return TINY


@pytest.fixture(scope="session")
def compressed(tmp_path_factory) -> Path:
    """A folder with x.lac and x.lac.run: the tiny network, pruned and fine-tuned."""
    folder = tmp_path_factory.mktemp("compressed")
    (folder / "r.toml").write_text(
        '[[stage]]\nkind = "prune"\nsparsity = 0.5\n[[stage]]\nkind = "fit"\nepochs = 2\n'
    )
    words = [
        "compress", f"{TINY}:model", "--task", f"{TINY}:task", "--threads", "1",
        "--recipe", str(folder / "r.toml"), "-o", str(folder / "x.lac"),
    ]  # fmt: skip
    assert CliRunner().invoke(commands.app, words).exit_code == 0
    return folder
