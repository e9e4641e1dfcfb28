"""Files appear whole or not at all: written beside the target, then renamed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from uuid import uuid4


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Put `data` into `path`; whatever happens, `path` holds its old content or all of `data`."""
    target = Path(path)
    sibling = target.with_name(f".{target.name}.{uuid4().hex[:8]}.part")
    try:
        with sibling.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        sibling.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            sibling.unlink()
        raise
