"""Write the measured parts of README.md again: the table of studies and the demo's transcript.

``python scripts/readme.py`` fills in the studies from studies/results; with ``--demo`` it also runs
``laconic demo`` and pastes what it printed. ``--check`` changes nothing and fails when the table of
studies is not what the results say.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from laconic import studies
from laconic.errors import DataError

MOST = 4
"""Goals of a study whose figures fit into a line."""
README = Path(__file__).resolve().parents[1] / "README.md"


def replaced(text: str, marker: str, body: str) -> str:
    """`text` with what stands between the marker's two comments replaced."""
    opening, closing = f"<!-- {marker} -->", f"<!-- /{marker.split(':')[0]} -->"
    pattern = re.escape(opening) + ".*?" + re.escape(closing)
    if not re.search(pattern, text, re.DOTALL):
        sys.exit(f"{README} has no {opening} … {closing}")
    whole = f"{opening}\n{body}\n{closing}"
    return re.sub(pattern, lambda _: whole, text, flags=re.DOTALL)


def studies_table() -> str:
    """One row a study: the figures of the rows that have goals, and the command."""
    lines = ["| study | published | ours | minutes | command |", "|---|---|---|---|---|"]
    for study in studies.STUDIES.values():
        try:
            result = studies.read_result(study.name)
        except DataError:
            continue
        goals = [row for row in result.rows if row.goal]
        if len(goals) > MOST:
            met = sum(row.met is True for row in goals)
            table = f"[the table](studies/results/{study.name}.md)"
            ours, published = f"{met} of {len(goals)} goals met", f"see {table}"
        else:
            published = "; ".join(row.published for row in goals)
            ours = "; ".join(row.ours + ("" if row.met else " (goal missed)") for row in goals)
        minutes = f"{result.seconds / 60:.0f}"
        command = f"`laconic study {study.name}`"
        lines.append(f"| {study.name} | {published} | {ours} | {minutes} | {command} |")
    return "\n".join(lines)


def transcript() -> str:
    """What ``laconic demo`` prints at 96 columns."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["laconic", "demo"],
            cwd=folder,
            env={**os.environ, "COLUMNS": "96"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
        )
    return "```text\n" + done.stdout.rstrip() + "\n```"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", action="store_true")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    old = README.read_text(encoding="utf-8")
    new = replaced(old, "studies", studies_table())
    if arguments.demo:
        new = replaced(new, "transcript: demo", transcript())
    if arguments.check:
        sys.exit(0 if new == old else "README.md: run scripts/readme.py, the studies changed")
    README.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
