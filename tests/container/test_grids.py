"""Grids give values to any run of codes as they give them to the whole tensor."""

import numpy as np
import pytest

from laconic.container import GRIDS, codebook, plain, to_bits, uniform

CODES = np.random.default_rng(0).integers(-3, 4, (5, 6, 7))
TENSORS = [
    plain("w", to_bits(CODES.astype("f4")), "F32"),
    codebook("w", to_bits(CODES.astype("f4")), "F32"),
    uniform("w", CODES, np.float32([0.1]), None),
    *(uniform("w", CODES, np.arange(1, 8, dtype="f4")[: CODES.shape[i]], i) for i in range(3)),
]


@pytest.mark.parametrize("tensor", TENSORS, ids=lambda tensor: tensor.grid)
@pytest.mark.parametrize(("start", "stop"), [(0, 210), (0, 1), (41, 43), (13, 209), (210, 210)])
def test_a_run_of_codes_has_the_values_that_stand_there(tensor, start, stop):
    run = np.ascontiguousarray(tensor.codes).reshape(-1)[start:stop]
    grid = GRIDS[tensor.grid]
    found = grid.values(run, tensor.tables, tensor.dtype, tensor.shape, start)
    np.testing.assert_array_equal(found, tensor.bits.reshape(-1)[start:stop])
