"""Files appear whole or not at all: written beside the target, then renamed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends, and vanishes when it fails.

    It can be read back inside the block by its ``name``, after a ``flush``.
    """
    target = Path(path)
    sibling = target.with_name(f".{target.name}.{os.urandom(4).hex()}.part")
    try:
        with sibling.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        sibling.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            sibling.unlink()
        raise


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Put `data` into `path`; whatever happens, `path` holds its old content or all of `data`."""
    with replacing(path) as file:
        file.write(data)
