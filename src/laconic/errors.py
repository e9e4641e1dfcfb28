"""Every error that laconic raises on purpose, in one tree.

::

    LaconicError
    ├── UsageError (also ValueError)   what was asked for cannot be meant; exit code 2
    │   └── PatternError               a name or pattern matches nothing
    ├── FormatError                    bytes that are no valid file, with the offset
    ├── CodingError                    a coder cannot hold these integers; another one can
    ├── DataError                      a data set or weights file is missing or damaged
    ├── StageError                     a stage changed nothing, or undid an earlier one
    ├── MismatchError                  names or shapes of a file and a model differ
    └── UnsupportedError               an operator, dtype or layer that no code here handles

A message says what was asked, what was found and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable


class LaconicError(Exception):
    """Any failure that laconic foresaw; its text is written for the person who sees it."""


class UsageError(LaconicError, ValueError):
    """An argument that cannot be meant, such as a sparsity of 1.2."""


class PatternError(UsageError):
    """A layer pattern that matches nothing; the message lists what exists.

    Examples:
        >>> raise PatternError("fc9*", ["conv1", "fc1"])
        Traceback (most recent call last):
        ...
        laconic.errors.PatternError: no layer matches 'fc9*'; the layers are: conv1, fc1
    """

    def __init__(self, pattern: str, existing: Iterable[str]) -> None:
        self.pattern = pattern
        self.existing = list(existing)
        listed = ", ".join(self.existing) or "none at all"
        super().__init__(f"no layer matches {pattern!r}; the layers are: {listed}")


class FormatError(LaconicError):
    """Bytes that are not what the format says, found at `offset` from the start of the file.

    Examples:
        >>> raise FormatError("the magic is b'PK', not b'LAC'", 0)
        Traceback (most recent call last):
        ...
        laconic.errors.FormatError: offset 0: the magic is b'PK', not b'LAC'
    """

    def __init__(self, message: str, offset: int) -> None:
        self.offset = offset
        super().__init__(f"offset {offset}: {message}")


class CodingError(LaconicError):
    """Integers that a coder cannot hold (too many distinct values, say); `smallest` skips it."""


class DataError(LaconicError):
    """A data set or a weights file that is missing or is not what its name says."""


class StageError(LaconicError):
    """A stage of a recipe that had no effect, or that took away what an earlier one gained."""


class MismatchError(LaconicError):
    """The names, shapes or values of a file and of a model do not fit together."""


class UnsupportedError(LaconicError):
    """Something that has a meaning but no implementation here; the message names it."""
