"""A run directory: what is finished, so that a killed run goes on where it stopped."""

from __future__ import annotations

import json
import os
from itertools import zip_longest
from pathlib import Path
from typing import Any

from laconic.container.atomic import write_bytes
from laconic.errors import DataError, UsageError
from laconic.measure import Receipt, read, to_json


class RunDir:
    """Files of one run; ``receipts.json`` is written last, so it alone says what is finished.

    ``run.json`` (what was asked), ``receipts.json``, ``stage-N.safetensors`` (the network after
    stage N), ``stage-N.partial.safetensors`` (inside stage N), ``kept.safetensors``
    (a point to rewind to), ``report.html``.

    Args:
        path: the directory; made when it does not exist.
        identity: what the run is asked to do, as JSON data.
        resume: go on with what is there.
        writes: False in all processes but the first, which read and do not write.

    Raises:
        UsageError: the directory holds a run and `resume` was not asked, or holds another run.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        identity: dict[str, Any],
        *,
        resume: bool,
        writes: bool = True,
    ) -> None:
        self.path = Path(path)
        self.writes = writes
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UsageError(f"{path} is no directory; choose another --run-dir") from error
        self.receipts: list[Receipt] = []
        if not self._file("run.json").exists():
            self.write_text("run.json", json.dumps(identity, indent=1))
            return
        if not resume:
            raise UsageError(
                f"{path} holds a run already; pass --resume to go on with it, "
                "or choose another --run-dir"
            )
        self._check_identity(identity)
        if self._file("receipts.json").exists():
            self.receipts = read(self.path)

    def _check_identity(self, identity: dict[str, Any]) -> None:
        path = self._file("run.json")
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(found, dict):
                raise ValueError(f"a table is needed, not a {type(found).__name__}")
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} is damaged: {error}") from error
        asked = json.loads(json.dumps(identity))
        different = [
            f"{what} was {then!r}, now {now!r}"
            for key in {**found, **asked}
            for what, then, now in _differences(key, found.get(key), asked.get(key))
        ]
        if different:
            raise UsageError(
                f"{self.path} holds another run: {'; '.join(different)}; "
                "choose another --run-dir, or ask for what was asked then"
            )

    def _file(self, name: str) -> Path:
        return self.path / name

    def write_text(self, name: str, text: str) -> None:
        """Write a file of the run, whole or not at all."""
        write_bytes(self._file(name), text.encode())

    def model_path(self, stage: int) -> Path:
        """The network after a stage; 0 is the network as it was given."""
        return self._file(f"stage-{stage}.safetensors")

    def partial_path(self, stage: int) -> Path:
        """The progress inside a stage."""
        return self._file(f"stage-{stage}.partial.safetensors")

    def kept_path(self) -> Path:
        """The point of a training that a stage was asked to keep."""
        return self._file("kept.safetensors")

    def finish(self, receipt: Receipt) -> None:
        """Record a finished stage; what comes after a kill starts behind it."""
        self.receipts.append(receipt)
        if not self.writes:
            return
        self.write_receipts()
        self.partial_path(receipt.stage).unlink(missing_ok=True)

    def write_receipts(self) -> None:
        """Write all receipts again."""
        if self.writes:
            self.write_text("receipts.json", to_json(self.receipts))


def _differences(key: str, then: Any, now: Any) -> list[tuple[str, Any, Any]]:
    """What differs, what it was and what it is; of two recipes the stages that differ."""
    if then == now:
        return []
    if key != "recipe" or not (isinstance(then, list) and isinstance(now, list)):
        return [(key, then, now)]
    return [
        (f"stage {number}", *pair)
        for number, pair in enumerate(zip_longest(then, now), 1)
        if pair[0] != pair[1]
    ]
