"""The bytes of version 2 stay what they are; scripts/golden.py writes them, no test does."""

import sys
from pathlib import Path

import numpy as np

from laconic import runtime
from laconic.container import LacFile
from laconic.container import about as about_section
from laconic.container import program as program_section

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS / "contracts"))
from small_lac import (  # noqa: E402
    ABOUT,
    PROGRAM,
    product_file,
    product_tensors,
    small_file,
    small_tensors,
)

GOLDEN = TESTS / "golden" / "version-2.lac"
PRODUCTS = TESTS / "golden" / "version-2-products.lac"


def test_the_golden_file_is_read():
    with LacFile(GOLDEN) as file:
        file.verify()
        expected = small_tensors()
        assert list(file.entries) == [tensor.name for tensor in expected]
        for tensor in expected:
            found = file.stored(tensor.name)
            assert (found.dtype, found.shape, found.grid) == (
                tensor.dtype, tensor.shape, tensor.grid
            )  # fmt: skip
            np.testing.assert_array_equal(found.codes, tensor.codes)
            np.testing.assert_array_equal(found.bits, tensor.bits)
        assert file.same_as("wave, tied") == "wave"
        assert about_section.decode(file.section("about")) == ABOUT
        program = program_section.decode(file.section("program"), list(file.entries))
    assert [n.operator for n in program.nodes] == [n.operator for n in PROGRAM.nodes]
    assert runtime.load(GOLDEN).check_probe() == 0


def test_the_golden_file_is_what_is_written():
    assert small_file() == GOLDEN.read_bytes()


def test_the_golden_file_of_product_codes_is_read_and_written():
    with LacFile(PRODUCTS) as file:
        file.verify()
        for tensor in product_tensors():
            found = file.stored(tensor.name)
            assert (found.dtype, found.shape, found.grid) == (
                tensor.dtype, tensor.shape, tensor.grid
            )  # fmt: skip
            np.testing.assert_array_equal(found.codes, tensor.codes)
            np.testing.assert_array_equal(file.bits(tensor.name), tensor.bits)
    assert product_file() == PRODUCTS.read_bytes()
