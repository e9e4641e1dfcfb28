"""Every operator of both engines against the ONNX project's own node tests."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from laconic import _native
from laconic.errors import UnsupportedError
from laconic.runtime import OPERATORS

ROOT = Path(__file__).parents[2]
LEFT_OUT = {
    "Cast": 54,
    "CastLike": 50,
    "DequantizeLinear": 9,
    "QuantizeLinear": 7,
    "Equal": 2,
    "Identity": 2,
    "Celu": 1,
    "Compress": 1,
    "OneHot": 1,
    "Range": 1,
}
"""Cases with types that neither engine has (bfloat16, float8, 4 bits, strings) or sequences."""
UNTYPED = "has the dtype None"
FUNCTIONS_THAT_FAIL = {
    "test_affine_grid_2d_expanded": UNTYPED,
    "test_affine_grid_2d_align_corners_expanded": UNTYPED,
    "test_affine_grid_3d_expanded": UNTYPED,
    "test_affine_grid_3d_align_corners_expanded": UNTYPED,
    "test_flexattention_double_expanded_ver26": "float32 is needed, found float64",
}
"""Branches whose outputs do not say their dtype, and a product of doubles."""


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        return import_module("operators")


@pytest.fixture(scope="module")
def found(script):
    return script.survey()


@pytest.mark.parametrize("engine", ["native", "NumPy"])
def test_node_cases_of_onnx_pass_except_the_known_ones(engine, script, found):
    tallies = found.tallies[engine]
    print(", ".join(f"{operator} {tally.passed}" for operator, tally in sorted(tallies.items())))
    failures = {name: why for tally in tallies.values() for name, why in tally.failures.items()}
    unknown = failures.keys() - script.KNOWN_FAILURES.keys()
    assert {name: failures[name] for name in unknown} == {}
    assert sorted(script.KNOWN_FAILURES.keys() - failures.keys()) == [], "these pass: unlist them"


def test_each_operator_has_a_case_that_passes(found):
    assert {name for name, tally in found.tallies["NumPy"].items() if tally.passed} == set(
        OPERATORS
    )
    native = {name for name, tally in found.tallies["native"].items() if tally.passed}
    assert set(_native.operator_names()) == native


def test_the_native_engine_has_what_ordinary_exports_use(script, found):
    assert sorted(set(script.ISSUE) - set(found.tallies["native"])) == []


def test_only_cases_with_foreign_types_are_left_out(found):
    assert {operator: len(names) for operator, names in found.left_out.items()} == LEFT_OUT


def test_the_page_of_operators_says_what_was_found(script, found):
    shown = "docs/operators.md is not true any more: python scripts/operators.py"
    assert script.PAGE.read_text(encoding="utf-8") == script.page(found), shown


@pytest.mark.slow
def test_functions_written_out_in_operators_pass_in_the_native_engine(script):
    failures = {}
    for case in script.function_cases():
        try:
            why = script.failure(case, script.ENGINES["native"])
        except UnsupportedError as error:
            why = str(error)
        if why is not None:
            failures[case.name] = why
    unknown = failures.keys() - FUNCTIONS_THAT_FAIL.keys()
    assert {name: failures[name] for name in unknown} == {}
    assert sorted(FUNCTIONS_THAT_FAIL.keys() - failures.keys()) == [], "these pass: unlist them"
    assert all(why in failures[name] for name, why in FUNCTIONS_THAT_FAIL.items())
