"""spec/format.md says what the code does: its example, its word lists, its numbers."""

import re
from pathlib import Path

import numpy as np
import pytest

from laconic.container import DTYPES, GRIDS, SECTIONS, LacFile, pack_bytes, plain, to_bits, uniform
from laconic.container.foreign import KINDS
from laconic.container.grids.row_index import NUMBER as ROWS
from laconic.container.layout import SAME
from laconic.container.vocabulary import ATTRIBUTES, OPERATORS

SPEC = (Path(__file__).parents[2] / "spec" / "format.md").read_text(encoding="utf-8")


def block(language):
    return re.search(rf"```{language}\n(.*?)```", SPEC, re.DOTALL).group(1)


def test_the_example_is_a_file():
    pairs = re.findall(r"^((?:[0-9a-f]{2} +)+|[0-9a-f]{2}$)", block("hex"), re.MULTILINE)
    data = bytes.fromhex("".join(pairs))
    with LacFile(data) as file:
        file.verify()
        assert file.array("fc.weight").tolist() == [[0, 0.5, 0], [-0.5, 0, 0]]
        assert file.array("fc.bias").tolist() == [1, -2]
    weight = uniform("fc.weight", np.array([[0, 1, 0], [-1, 0, 0]]), np.float32([0.5]), None)
    bias = plain("fc.bias", to_bits(np.float32([1, -2])), "F32")
    assert pack_bytes([weight, bias], {}) == data


@pytest.mark.parametrize(
    ("language", "words"), [("operators", OPERATORS), ("attributes", ATTRIBUTES)]
)
def test_the_word_lists_are_the_codes(language, words):
    assert tuple(block(language).split()) == words
    assert len(set(words)) == len(words)


def test_every_dtype_stands_there_with_its_number():
    listed = SPEC[SPEC.index("**Dtypes**") :].split("\n\n")[0]
    found = {
        name: int(number) for number, name in re.findall(r"(\d+) ([A-Z]+\d*(?:_\w+)?)", listed)
    }
    assert found == {dtype.name: dtype.number for dtype in DTYPES.values()}


def test_every_grid_section_and_kind_stands_there_with_its_number():
    for grid in GRIDS.values():
        assert f"| {grid.number} {grid.name} |" in SPEC
    assert f"| {ROWS} rows |" in SPEC
    assert f"| {SAME} same |" in SPEC
    for name, number in SECTIONS.items():
        assert f"{number} {name}" in SPEC
        assert f"## Section {number}: {name}" in SPEC
    for suffix, number in KINDS.items():
        assert f"{number} `{suffix}`" in SPEC
