"""How long a study has taken, over all parts of a run that was interrupted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from laconic.container.atomic import write_bytes
from laconic.errors import DataError, UsageError
from laconic.recipe import Watcher

EVERY = 5.0
"""Seconds between two records: what a kill may lose."""


class Clock:
    """Seconds of a study so far, kept in its folder as ``study.json``.

    Args:
        folder: of the run.
        command: what is run there; with ``--scratch`` it goes on with what the same command
            without it left.

    Raises:
        UsageError: the folder holds something else.
        DataError: the record is damaged.
    """

    def __init__(self, folder: Path, command: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "study.json"
        self.command = command
        self.before = 0.0
        if self.path.exists():
            self.before = self._read()
        elif any(folder.iterdir()):
            raise UsageError(f"{folder} holds something else than {command}; choose another folder")
        self.start = self.written = time.perf_counter()
        self.write()

    def _read(self) -> float:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            command, seconds = found["command"], float(found["seconds"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(f"{self.path} is damaged: {error!r}") from error
        if command not in (self.command, self.command.replace(" --scratch", "")):
            raise UsageError(
                f"{self.path.parent} holds {command}, not {self.command}; choose another folder"
            )
        return seconds

    @property
    def seconds(self) -> float:
        """Of all parts."""
        return round(self.before + time.perf_counter() - self.start, 1)

    def write(self) -> None:
        """Record the seconds so far."""
        self.written = time.perf_counter()
        text = json.dumps({"command": self.command, "seconds": self.seconds}) + "\n"
        write_bytes(self.path, text.encode())

    def watching(self, watcher: Watcher) -> Watcher:
        """The watcher, which records the time as well when it is told of something."""

        def ticking(told: Callable[..., None] | None) -> Callable[..., None]:
            def tell(*arguments: Any) -> None:
                if time.perf_counter() - self.written > EVERY:
                    self.write()
                if told is not None:
                    told(*arguments)

            return tell

        return Watcher(*(ticking(getattr(watcher, field.name)) for field in fields(Watcher)))
