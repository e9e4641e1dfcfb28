"""Plain data, as JSON and TOML give them, held against annotations."""

from __future__ import annotations

from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Record = TypeVar("Record")

WORDS: dict[Any, tuple[str, str]] = {
    bool: ("true or false", "true or false"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
    NoneType: ("nothing", "nothing"),
}
"""Type → how a message names one and several of it."""


def fits(value: Any, annotation: Any) -> bool:
    """Whether a value is of an annotated type.

    A whole number is a number too, but true and false are neither, and 5.0 is no whole number:
    TOML and JSON keep them apart. Whole numbers must fit into 64 bits. An annotation that is no
    plain type (a text, a type variable) fits everything.

    Examples:
        >>> fits({"fc*": 5}, dict[str, float]), fits(True, int), fits(None, int | None)
        (True, False, True)
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is Any or isinstance(annotation, str):
        return True
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if origin is list:
        return isinstance(value, list | tuple) and all(fits(item, inner[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            fits(key, inner[0]) and fits(item, inner[1]) for key, item in value.items()
        )
    if annotation in (int, float) and isinstance(value, int):
        return not isinstance(value, bool) and -(2**63) <= value < 2**63
    kind = origin or annotation
    return not isinstance(kind, type) or isinstance(value, kind)


def wording(annotation: Any, *, several: bool = False) -> str:
    """An annotation in words, for messages.

    Examples:
        >>> wording(float | dict[str, float])
        'a number or a table of numbers'
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(wording(one, several=several) for one in inner)
    if origin is list:
        return f"{'lists' if several else 'a list'} of {wording(inner[0], several=True)}"
    if origin is dict:
        return f"{'tables' if several else 'a table'} of {wording(inner[1], several=True)}"
    named = WORDS.get(annotation)
    return named[several] if named else str(getattr(annotation, "__name__", annotation))


def checked(record: Record) -> Record:
    """A dataclass instance whose fields are of the annotated types.

    Raises:
        TypeError: one is not; the message names it.
    """
    hints = get_type_hints(type(record))
    for field in fields(record):  # type: ignore[arg-type]
        value = getattr(record, field.name)
        if not fits(value, hints[field.name]):
            raise TypeError(f"{field.name} is {value!r}; {wording(hints[field.name])} is needed")
    return record
