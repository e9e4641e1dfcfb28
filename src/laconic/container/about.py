"""What a file says of itself for people: how its weights were made, labels, preprocessing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from laconic.coding.reader import Reader
from laconic.container.deflate import deflate, inflate
from laconic.errors import FormatError, UsageError

MAX_ABOUT_BYTES = 2**20  # as JSON; read, it takes up to thirty times as much


def encode(about: Mapping[str, Any]) -> bytes:
    """The section ``about``: one JSON object, deflated; the same object gives the same bytes.

    Keys with a meaning: ``steps`` (tensor name → texts such as ``"Prune(sparsity=0.9)"``),
    ``labels`` (class names in order), ``preprocessing`` (a text or object).

    Raises:
        UsageError: something in it is no JSON data, a key with a meaning holds something else, or
            it is longer than 2^20 bytes.
    """
    if wrong := _misused(about):
        raise UsageError(f"about: {wrong}")
    try:
        text = json.dumps(
            about, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
        ).encode()
    except (TypeError, ValueError) as error:
        raise UsageError(f"about: {error}; give texts, numbers, lists and dicts alone") from error
    if len(text) > MAX_ABOUT_BYTES:
        raise UsageError(f"about takes {len(text)} bytes; at most {MAX_ABOUT_BYTES} fit")
    return deflate(text)


def decode(data: bytes | memoryview, offset: int = 0) -> dict[str, Any]:
    """The object again.

    Raises:
        FormatError: the bytes are damaged, or hold something else than a JSON object, or a key with
            a meaning holds something else.
    """
    text = inflate(Reader(data, offset), MAX_ABOUT_BYTES, "the section about")
    try:
        about = json.loads(bytes(text), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"the section about is no JSON: {error}", offset) from error
    if not isinstance(about, dict):
        raise FormatError("the section about is no JSON object", offset)
    if wrong := _misused(about):
        raise FormatError(f"the section about: {wrong}", offset)
    return about


def _misused(about: Mapping[str, Any]) -> str:
    """What is wrong with the keys that have a meaning; empty when nothing is."""
    steps = about.get("steps", {})
    if not (isinstance(steps, Mapping) and all(map(_are_texts, steps.values()))):
        return "steps must be a table from tensors to lists of texts"
    if not _are_texts(about.get("labels", [])):
        return "labels must be a list of texts"
    return ""


def _are_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")
