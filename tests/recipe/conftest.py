"""Short runs on a tiny network, shared by the tests that look at them."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import launching
from torch import nn

from laconic import zoo
from laconic.measure import Receipt
from laconic.pack import capture
from laconic.recipe import Recipe, Stage, run
from laconic.represent import plain
from laconic.train import make_fabric

TINY = Path(__file__).with_name("tiny.py")
STAGES = (
    Stage("fit", {"epochs": 3, "learning_rate": 0.01}),
    Stage("prune", {"sparsity": 0.75, "scope": "global"}),
    Stage("fit", {"epochs": 3, "learning_rate": 0.01, "schedule": "cosine"}),
    Stage("share", {"bits": {"0": 3, "2": 2}}),
    Stage("fit", {"epochs": 2, "learning_rate": 0.002}),
)


def new_model(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return zoo.resolve_model(f"{TINY}:model")


def new_task() -> Any:
    return zoo.resolve_task(f"{TINY}:task")


@pytest.fixture(scope="session", autouse=True)
def captured_once():
    """One capture for each architecture: torch's exporter takes a second, training a tenth."""
    programs = {}

    def capture_once(model, example_input):
        architecture = str(plain(model))
        if architecture not in programs:
            programs[architecture] = capture(model, example_input)
        return programs[architecture]

    with pytest.MonkeyPatch.context() as patched:
        # The package's name `run` is the function, not the module.
        patched.setattr(sys.modules["laconic.recipe.run"], "capture", capture_once)
        yield


@pytest.fixture(scope="session")
def launch() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a script of this folder in so many processes."""
    folder = Path(__file__).parent
    return lambda script, *words, **given: launching.launch(folder / script, *words, **given)


@dataclass
class Finished:
    """A run and what it was made of; `model` is as the run left it."""

    model: nn.Module
    task: Any
    receipts: list[Receipt]
    output: Path
    run_dir: Path


def finish(folder: Path, stages: tuple[Stage, ...], *, resume: bool = False, **given) -> Finished:
    """Run stages in a folder, on the tiny network unless `given` has others."""
    model, task = given.pop("model", None) or new_model(), given.pop("task", None) or new_task()
    seed = given.pop("seed", 0)
    receipts = run(
        model, task, Recipe(stages, seed), folder / "x.lac", folder / "run",
        resume=resume, fabric=make_fabric("cpu", threads=1), **given,
    )  # fmt: skip
    return Finished(model, task, receipts, folder / "x.lac", folder / "run")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Finished:
    """Deep Compression of the tiny network."""
    return finish(tmp_path_factory.mktemp("finished"), STAGES)


@pytest.fixture(scope="session")
def runner():
    return finish


@pytest.fixture
def model() -> nn.Module:
    return new_model()


@pytest.fixture
def stages() -> tuple[Stage, ...]:
    return STAGES


@pytest.fixture(scope="session")
def tiny() -> Path:
    return TINY
