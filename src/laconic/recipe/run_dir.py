"""A run directory: what is finished, so that a killed run goes on where it stopped."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from laconic.container.atomic import write_bytes
from laconic.errors import DataError, UsageError
from laconic.measure import Receipt, read, to_json


class RunDir:
    """Files of one run; ``receipts.json`` is written last, so it alone says what is finished.

    ``run.json`` (what was asked), ``receipts.json``, ``stage-N.safetensors`` (the network after
    stage N), ``stage-N.partial.safetensors`` (inside stage N), ``report.html``.

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
        self.path.mkdir(parents=True, exist_ok=True)
        self.receipts: list[Receipt] = []
        if not self._file("run.json").exists():
            self.write_text("run.json", json.dumps(identity, indent=1, sort_keys=True))
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
        try:
            found = json.loads(self._file("run.json").read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{self._file('run.json')} is damaged: {error}") from error
        asked = json.loads(json.dumps(identity))
        for key in sorted(found.keys() | asked.keys()):
            if found.get(key) != asked.get(key):
                raise UsageError(
                    f"{self.path} holds another run: its {key} is {found.get(key)!r}, "
                    f"asked was {asked.get(key)!r}"
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
