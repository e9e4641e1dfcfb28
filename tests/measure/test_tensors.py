"""Records of tensors with bits at the edges of what their dtypes can say."""

import numpy as np
import pytest

from laconic.container import LacFile, pack_bytes
from laconic.measure.tensors import tensor_records
from laconic.pack.structure import structured

SIGNALLING = {"F16": 0x7C01, "F32": 0x7F80_0001, "F64": 0x7FF0_0000_0000_0001}
UNSIGNED = {"F16": np.uint16, "F32": np.uint32, "F64": np.uint64}


def record_of(bits, dtype):
    with LacFile(pack_bytes([structured("w", bits, dtype)], {})) as file:
        return tensor_records(file)[0]


@pytest.mark.parametrize("dtype", SIGNALLING)
def test_a_signalling_nan_is_left_out_without_a_warning(dtype):
    bits = np.array([SIGNALLING[dtype], 0, 1] * 9, UNSIGNED[dtype])
    record = record_of(bits, dtype)
    assert (record.nonzeros, sum(record.counts)) == (18, 9)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([-1.7e308, 1.7e308], id="the whole range"),
        pytest.param([1.7e308, 1.7e308], id="one value near the largest"),
        pytest.param([5e-324, 1e-323], id="the two smallest"),
        pytest.param([1.0, 1.0 + 2**-52], id="two neighbours"),
    ],
)
def test_every_float64_has_its_place_in_the_histogram(values):
    record = record_of(np.array(values).view(np.uint64), "F64")
    assert sum(record.counts) == 2
    assert np.isfinite(record.bins).all()
    assert record.bins == sorted(record.bins)
