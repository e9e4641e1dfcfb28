"""Two gloo processes choose, learn and keep the same masks, which are those of one process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("two_processes_masks.py")
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
RECIPES = ["gradual", "proximal", "penalised", "supermask"]

pytestmark = pytest.mark.slow


def launch(folder: Path, *launcher: str) -> list[dict]:
    """The weights that each process ended with, by recipe and name."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error::UserWarning"}
    done = subprocess.run(
        [sys.executable, *launcher, str(SCRIPT), str(folder)],
        env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> dict:
    (found,) = launch(tmp_path_factory.mktemp("one"))
    return found


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> list[dict]:
    return launch(tmp_path_factory.mktemp("two"), *TORCHRUN)


@pytest.mark.parametrize("recipe", RECIPES)
def test_both_processes_end_with_the_same_weights_bit_for_bit(two, recipe):
    assert len(two) == 2
    assert two[0][recipe] == two[1][recipe]
    assert any(np.any(np.array(weight) == 0) for weight in two[0][recipe].values())


@pytest.mark.parametrize("recipe", RECIPES)
def test_their_masks_and_values_are_those_of_one_process(one, two, recipe):
    for name, weight in one[recipe].items():
        found = np.array(two[0][recipe][name])
        np.testing.assert_allclose(found, weight, rtol=1e-3, atol=1e-4, err_msg=name)
        if recipe != "proximal":  # there a zero is an outcome of the last bits of a gradient
            assert np.array_equal(found == 0, np.array(weight) == 0), name
