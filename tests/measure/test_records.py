"""Plain data against annotations."""

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import pytest

from laconic.measure.records import checked, fits, wording

KIND = TypeVar("KIND")


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (3, int),
        (3, float),
        (0.5, float),
        (True, bool),
        ("a", str),
        (None, int | None),
        ([1, 2], list[int]),
        ((1, 2), list[int]),
        ([], list[int]),
        ({"a": 1}, dict[str, float]),
        ({"a": [1]}, dict[str, Any]),
        ("x", Literal["x", "y"]),
        (ValueError(), Any),
        (ValueError(), "a text"),
        (ValueError(), KIND),
    ],
    ids=repr,
)
def test_a_value_fits(value, annotation):
    assert fits(value, annotation)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (3.0, int),
        (True, int),
        (True, float),
        (1, bool),
        ("3", int),
        (2**63, int),
        (-(2**63) - 1, float),
        (None, int),
        (1.5, int | None),
        ([1, "a"], list[int]),
        ("ab", list[str]),
        ({"a": "b"}, dict[str, float]),
        ({1: 1.0}, dict[str, float]),
        ("z", Literal["x", "y"]),
    ],
    ids=repr,
)
def test_a_value_does_not_fit(value, annotation):
    assert not fits(value, annotation)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int | None, "a whole number or nothing"),
        (str | list[str], "a text or a list of texts"),
        (dict[str, int | None], "a table of whole numbers or nothing"),
        (dict[str, list[float]], "a table of lists of numbers"),
        (bytes, "bytes"),
    ],
)
def test_an_annotation_is_told_in_words(annotation, words):
    assert wording(annotation) == words


@dataclass
class Point:
    x: float
    labels: list[str]


def test_a_record_of_the_annotated_types_comes_back():
    point = Point(1, ["a"])
    assert checked(point) is point


def test_a_field_of_another_type_is_named():
    with pytest.raises(TypeError) as caught:
        checked(Point(1.0, ["a", 2]))
    assert str(caught.value) == "labels is ['a', 2]; a list of texts is needed"
