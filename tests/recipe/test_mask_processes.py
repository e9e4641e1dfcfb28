"""Two gloo processes choose, learn and keep the same masks, which are those of one process."""

import json
from pathlib import Path

import numpy as np
import pytest

RECIPES = [
    "gradual", "proximal", "penalised", "supermask", "gradual-global", "compensated", "sampled",
    "greedy-cut", "learned-architecture", "convolutions-cut",
]  # fmt: skip

pytestmark = pytest.mark.slow


def ended(folder: Path) -> list[dict]:
    """The weights that each process ended with, by recipe and name."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


@pytest.fixture(scope="module")
def one(launch, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("one")
    launch("two_processes_masks.py", folder, processes=1)
    (found,) = ended(folder)
    return found


@pytest.fixture(scope="module")
def two(launch, tmp_path_factory) -> list[dict]:
    folder = tmp_path_factory.mktemp("two")
    launch("two_processes_masks.py", folder)
    return ended(folder)


@pytest.fixture(scope="module")
def apart(launch, tmp_path_factory) -> list[dict]:
    """Two processes that see other examples each."""
    folder = tmp_path_factory.mktemp("apart")
    launch("two_processes_masks.py", folder, "apart")
    return ended(folder)


@pytest.mark.parametrize("recipe", RECIPES)
def test_both_processes_end_with_the_same_weights_bit_for_bit(two, recipe):
    assert len(two) == 2
    assert two[0][recipe] == two[1][recipe]
    assert any(np.any(np.array(weight) == 0) for weight in two[0][recipe].values())


@pytest.mark.parametrize("recipe", RECIPES)
def test_their_masks_and_values_are_those_of_one_process(one, two, recipe):
    assert list(two[0][recipe]) == list(one[recipe])
    for name, weight in one[recipe].items():
        found = np.array(two[0][recipe][name])
        np.testing.assert_allclose(found, weight, rtol=1e-3, atol=1e-4, err_msg=name)
        if recipe != "proximal":  # there a zero is an outcome of the last bits of a gradient
            assert np.array_equal(found == 0, np.array(weight) == 0), name


@pytest.mark.parametrize("recipe", RECIPES)
def test_processes_that_see_other_examples_end_with_the_same_weights(apart, two, recipe):
    assert len(apart) == 2
    assert apart[0][recipe] == apart[1][recipe]
    assert apart[0][recipe] != two[0][recipe]
