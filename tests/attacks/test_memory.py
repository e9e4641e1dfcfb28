"""Reading a hostile file takes at most 64 MB and what it declares, measured from outside.

In one thread; each further one takes up to 20 MB more.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hungry import HUNGRY

CHILD = Path(__file__).with_name("reading_child.py")
ALLOWED = 64 * 2**20
A_THREAD = 20 * 2**20
"""Beside the first one."""
FEW = {
    "gaps and values by planes": "1",
    "codebooks for 65,536 tiles": "1",
    "four million rows": "1",
    "a program of nodes": "verify",
    "JSON of lists": "verify",
    "as many tensors with many dimensions": "1",
}


def status(process: subprocess.Popen[str], key: str) -> int:
    """A line of the process's status, in bytes."""
    text = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    found = re.search(rf"{key}:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) * 2**10


def taken(path: Path, way: str) -> tuple[int, str]:
    """Bytes above what importing took, pages of the file itself apart; and what was said."""
    command = [sys.executable, str(CHILD), str(path), way]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        before = status(child, "VmRSS")
        child.stdin.write("\n")
        child.stdin.flush()
        said = child.stdout.readline().strip()
        peak = status(child, "VmHWM")
        child.stdin.write("\n")
        child.stdin.flush()
    return peak - before - path.stat().st_size, said


def check(name: str, way: str, folder: Path) -> None:
    data, declared = HUNGRY[name]
    path = folder / "x.lac"
    path.write_bytes(data)
    size, said = taken(path, way)
    threads = int(way) if way.isdigit() else 1
    allowed = ALLOWED + A_THREAD * (threads - 1) + declared
    assert size < allowed, f"{size / 2**20:.0f} MB for {declared:,} bytes: {said}"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("name", FEW)
def test_little_memory_is_taken_by(name, tmp_path):
    check(name, FEW[name], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["verify", "1", "4"], ids=["verified", "decoded", "with threads"])
@pytest.mark.parametrize("name", HUNGRY)
def test_at_most_64_mb_and_the_output_are_taken_by(name, way, tmp_path):
    check(name, way, tmp_path)
