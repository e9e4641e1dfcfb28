"""Every operator against the ONNX project's own node tests."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from laconic.errors import UnsupportedError
from laconic.runtime import OPERATORS, NumpyExecutor

TRAINING = "training mode"
KNOWN_FAILURES = {
    "test_batchnorm_epsilon_training_mode": TRAINING,
    "test_batchnorm_example_training_mode": TRAINING,
    "test_dropout_random_old": "ratio is an attribute, as before opset 12",
    "test_training_dropout": TRAINING,
    "test_training_dropout_default": TRAINING,
    "test_training_dropout_default_mask": TRAINING,
    "test_training_dropout_mask": TRAINING,
    "test_training_dropout_zero_ratio": TRAINING,
    "test_training_dropout_zero_ratio_mask": TRAINING,
}
"""Cases that must fail, and why; one that passes has to leave this list."""
ROUNDED = {"test_averagepool_2d_ceil_last_window_starts_on_pad"}
"""Cases whose expected values were written with four digits."""
LEFT_OUT = {"Cast": 54, "CastLike": 50, "Equal": 2, "Identity": 2, "Celu": 1, "Range": 1}
"""Cases with types that NumPy lacks (bfloat16, float8, 4 bits, strings) or with sequences."""


@pytest.fixture(scope="module")
def cases():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the generators overflow on purpose
        from onnx.backend.test.case.node import collect_testcases

        found = collect_testcases(None)
    return [
        case
        for case in found
        if "_expanded" not in case.name
        and {node.op_type for node in case.model.graph.node} <= set(OPERATORS)
    ]


def runs_in_numpy(case):
    """Whether every input and output is an array of a type that NumPy has."""
    kinds = numpy_types()
    values = [*case.model.graph.input, *case.model.graph.output]
    return all(
        value.type.HasField("tensor_type") and value.type.tensor_type.elem_type in kinds
        for value in values
    )


def numpy_types():
    names = "FLOAT FLOAT16 DOUBLE INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64 BOOL".split()
    return {onnx.TensorProto.DataType.Value(name) for name in names}


def plain(value):
    return (
        numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
    )


def failure(case, onnx_programs):
    """What is wrong with our outputs, or None."""
    try:
        program = onnx_programs.program(case.model)
        executor = NumpyExecutor(program, {})
        for given, expected in case.data_sets:
            names = [value.name for value in program.inputs]
            frozen = [plain(array) for array in given]
            before = [array.copy() for array in frozen]
            found = executor.run(dict(zip(names, frozen, strict=True)))
            for array, copy in zip(frozen, before, strict=True):
                np.testing.assert_array_equal(array, copy, err_msg="an input was changed")
            for ours, theirs in zip(found, map(plain, expected), strict=True):
                compare(ours, theirs, case.name)
    except (AssertionError, UnsupportedError) as error:
        return str(error)
    return None


def compare(ours, theirs, name):
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    loose = name in ROUNDED or theirs.dtype == np.float16
    tolerance = (1e-3, 1e-3) if loose else (1e-5, 1e-6)
    np.testing.assert_allclose(ours, theirs, rtol=tolerance[0], atol=tolerance[1])


def test_node_cases_of_onnx_pass_except_the_known_ones(cases, onnx_programs):
    passed, failures = Counter(), {}
    for case in filter(runs_in_numpy, cases):
        found = failure(case, onnx_programs)
        if found is None:
            passed[case.model.graph.node[0].op_type] += 1
        else:
            failures[case.name] = found
    print(", ".join(f"{operator} {count}" for operator, count in sorted(passed.items())))
    print(f"{passed.total()} cases pass, {len(failures)} fail")
    assert {name: failures[name] for name in failures.keys() - KNOWN_FAILURES.keys()} == {}
    assert sorted(KNOWN_FAILURES.keys() - failures.keys()) == [], "these pass: unlist them"
    assert set(passed) == set(OPERATORS), "each operator has a case"


def test_only_cases_with_foreign_types_are_left_out(cases):
    left_out = [case for case in cases if not runs_in_numpy(case)]
    assert Counter(case.model.graph.node[0].op_type for case in left_out) == LEFT_OUT
