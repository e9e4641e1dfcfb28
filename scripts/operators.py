"""Runs the ONNX project's own node cases in both engines and writes docs/operators.md.

``python scripts/operators.py`` prints the table and writes the page; ``--check`` writes nothing and
fails when the page is not what the cases say. The cases come with the package ``onnx``.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import numpy_helper

from laconic import _native
from laconic.container.program import Program
from laconic.errors import LaconicError
from laconic.pack.onnx_graph import program_of
from laconic.runtime import OPERATORS, NumpyExecutor
from laconic.runtime.executor import OLDEST_OPSET
from laconic.runtime.native_executor import NativeExecutor

PAGE = Path(__file__).resolve().parents[1] / "docs" / "operators.md"
TYPES = "FLOAT FLOAT16 DOUBLE INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64 BOOL".split()
"""What inputs and outputs of a case may be; float16 is computed in float32 and rounded."""
ISSUE = (
    "Conv ConvTranspose Gemm MatMul Add Sub Mul Div Pow Sqrt Exp Log Neg Abs Min Max Relu "
    "LeakyRelu PRelu Clip Sigmoid HardSigmoid HardSwish Tanh Sin Cos Erf Gelu Softmax LogSoftmax "
    "BatchNormalization LayerNormalization InstanceNormalization GroupNormalization MaxPool "
    "AveragePool GlobalAveragePool ReduceMean ReduceSum ReduceMax ArgMax Flatten Reshape "
    "Transpose Squeeze Unsqueeze Concat Split Slice Gather Pad Expand Where Cast Shape "
    "ConstantOfShape Range Resize LSTM GRU QuantizeLinear DequantizeLinear If"
).split()
"""What ordinary exports use: the engine must have each of these."""
ENGINES: dict[str, Callable[[Program], Any]] = {
    "native": lambda program: NativeExecutor(program, {}, threads=2),
    "NumPy": lambda program: NumpyExecutor(program, {}),
}

TRAINING = "training mode"
OLD_DROPOUT = "ratio is an attribute, as before opset 12"
KNOWN_FAILURES = {
    "test_batchnorm_epsilon_training_mode": TRAINING,
    "test_batchnorm_example_training_mode": TRAINING,
    "test_dropout_random_old": OLD_DROPOUT,
    "test_training_dropout": TRAINING,
    "test_training_dropout_default": TRAINING,
    "test_training_dropout_default_mask": TRAINING,
    "test_training_dropout_mask": TRAINING,
    "test_training_dropout_zero_ratio": TRAINING,
    "test_training_dropout_zero_ratio_mask": TRAINING,
}
"""Cases that must fail in every engine that has the operator, and why."""
ROUNDED = {"test_averagepool_2d_ceil_last_window_starts_on_pad"}
"""Cases whose expected values were written with four digits."""


@dataclass
class Tally:
    """The cases of one operator in one engine."""

    passed: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    """Why, by the name of the case."""

    @property
    def total(self) -> int:
        return self.passed + len(self.failures)


@dataclass
class Survey:
    """All cases of the operators that an engine has."""

    tallies: dict[str, dict[str, Tally]]
    """By engine, then by operator; an operator that the engine has not is absent."""
    left_out: dict[str, list[str]]
    """Cases with types that no engine computes in, by operator."""


def all_cases() -> list[Any]:
    """What the package `onnx` ships."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the generators overflow on purpose
        from onnx.backend.test.case.node import collect_testcases

        return list(collect_testcases(None))


def node_cases() -> list[Any]:
    """The cases of single operators."""
    return [case for case in all_cases() if "_expanded" not in case.name]


def function_cases() -> list[Any]:
    """The cases of functions, written out in operators that the native engine has."""
    known = set(_native.operator_names())
    return [
        case
        for case in all_cases()
        if "_expanded" in case.name
        and set(operators_of(case.model.graph)) <= known
        and has_common_types(case.model.graph)
    ]


def survey() -> Survey:
    """Every case whose nodes an engine has, in that engine."""
    known = {"native": set(_native.operator_names()), "NumPy": set(OPERATORS)}
    out = Survey({engine: {} for engine in ENGINES}, {})
    for case in node_cases():
        operator = case.model.graph.node[0].op_type
        nodes = set(operators_of(case.model.graph))
        engines = [engine for engine in ENGINES if nodes <= known[engine]]
        if engines and not has_common_types(case.model.graph):
            out.left_out.setdefault(operator, []).append(case.name)
            continue
        for engine in engines:
            tally = out.tallies[engine].setdefault(operator, Tally())
            found = failure(case, ENGINES[engine])
            if found is None:
                tally.passed += 1
            else:
                tally.failures[case.name] = found
    return out


def operators_of(graph: onnx.GraphProto) -> Iterator[str]:
    """Of a graph and of the branches in it."""
    for node in graph.node:
        yield node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
        for attribute in node.attribute:
            yield from operators_of(attribute.g)


def has_common_types(graph: onnx.GraphProto) -> bool:
    """Whether every input and output is an array of one of `TYPES`."""
    kinds = {onnx.TensorProto.DataType.Value(name) for name in TYPES}
    return all(
        value.type.HasField("tensor_type") and value.type.tensor_type.elem_type in kinds
        for value in (*graph.input, *graph.output)
    )


def failure(case: Any, executor_of: Callable[[Program], Any]) -> str | None:
    """What is wrong with the engine's outputs, or None."""
    model = ir.serde.deserialize_model(case.model)
    program = program_of(model, {}, [value.name for value in case.model.graph.output])
    # Nodes that older opsets wrote the same way; what changed shows in attributes and inputs.
    program = replace(program, opset=max(program.opset, OLDEST_OPSET))
    try:
        executor = executor_of(program)
        for given, expected in case.data_sets:
            names = [value.name for value in program.inputs]
            frozen = [plain(array) for array in given]
            before = [array.copy() for array in frozen]
            found = executor.run(dict(zip(names, frozen, strict=True)))
            for array, copy in zip(frozen, before, strict=True):
                np.testing.assert_array_equal(array, copy, err_msg="an input was changed")
            for ours, theirs in zip(found, map(plain, expected), strict=True):
                compare(ours, theirs, case.name)
    except (AssertionError, LaconicError) as error:
        return str(error)
    return None


def plain(value: Any) -> NDArray[Any]:
    """The array of a case's input or output."""
    is_proto = isinstance(value, onnx.TensorProto)
    return numpy_helper.to_array(value) if is_proto else np.asarray(value)


def compare(ours: NDArray[Any], theirs: NDArray[Any], name: str) -> None:
    """AssertionError unless both are the same within the tolerance of the type."""
    assert ours.dtype == theirs.dtype, f"{ours.dtype}, not {theirs.dtype}"
    assert ours.shape == theirs.shape, f"{ours.shape}, not {theirs.shape}"
    loose = name in ROUNDED or theirs.dtype == np.float16
    tolerance = (1e-3, 1e-3) if loose else (1e-5, 1e-6)
    np.testing.assert_allclose(ours, theirs, rtol=tolerance[0], atol=tolerance[1])


def page(found: Survey) -> str:
    """docs/operators.md."""
    parts = [
        "# Operators",
        "",
        f"What the native engine and the NumPy engine can run, from opset {OLDEST_OPSET} on, and "
        f"how many of the ONNX project's node cases (onnx {onnx.__version__}) pass in each: "
        "outputs within 1e-5 relative and 1e-6 absolute of the expected ones, 1e-3 where they are "
        "float16. `python scripts/operators.py` runs the cases and writes this page; a test "
        "compares both.",
        "",
        "| operator | native | NumPy |",
        "|---|---|---|",
        *table(found),
        "",
        "Operators in bold are those that ordinary exports use. – : the engine has not this "
        "operator. An operator without a row of its own has no case.",
        "",
        "## Failures",
        "",
        *failures(found),
        "",
        "## Left out",
        "",
        "Cases with types in which no engine computes (bfloat16, 8-bit and smaller floats, "
        "integers of 2 and 4 bits, strings, complex numbers) or with sequences and optional "
        "values:",
        "",
    ]
    for operator, names in sorted(found.left_out.items()):
        parts.append(f"- {operator}: {', '.join(sorted(names))}.")
    return "\n".join(parts) + "\n"


def table(found: Survey) -> list[str]:
    """A row an operator, and one of sums."""
    rows = []
    for operator in sorted(set().union(*found.tallies.values())):
        counts = []
        for tallies in found.tallies.values():
            tally = tallies.get(operator)
            counts.append("–" if tally is None else f"{tally.passed}/{tally.total}")
        name = f"**{operator}**" if operator in ISSUE else operator
        rows.append(f"| {name} | {' | '.join(counts)} |")
    sums = [
        f"{sum(t.passed for t in tallies.values())}/{sum(t.total for t in tallies.values())}"
        for tallies in found.tallies.values()
    ]
    return [*rows, f"| all | {' | '.join(sums)} |"]


def failures(found: Survey) -> list[str]:
    """A line a case that fails: where, and why."""
    where: dict[str, list[str]] = {}
    for engine, tallies in found.tallies.items():
        for tally in tallies.values():
            for name in tally.failures:
                where.setdefault(name, []).append(engine)
    return [
        f"- {name} ({', '.join(engines)}): {KNOWN_FAILURES.get(name, 'not explained yet')}."
        for name, engines in sorted(where.items())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when the page is not true")
    arguments = parser.parse_args()
    found = survey()
    text = page(found)
    print("\n".join(table(found)))
    print("\n".join(failures(found)))
    if arguments.check:
        if PAGE.read_text(encoding="utf-8") != text:
            sys.exit(f"{PAGE} is not what the cases say; run python scripts/operators.py")
    else:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
