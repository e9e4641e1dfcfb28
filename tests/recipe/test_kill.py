"""SIGKILL in the middle of a run of the command line, and --resume."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from laconic.cli.commands import app

RECIPE = """
[[stage]]
kind = "prune"
sparsity = 0.75
[[stage]]
kind = "fit"
epochs = 4
learning_rate = 0.01
schedule = "cosine"
[[stage]]
kind = "share"
bits = 3
[[stage]]
kind = "fit"
epochs = 2
"""


def arguments(folder: Path, tiny: Path) -> list[str]:
    (folder / "r.toml").write_text(RECIPE)
    return [
        "compress", f"{tiny}:model", "--task", f"{tiny}:task", "--threads", "1",
        "--recipe", str(folder / "r.toml"), "-o", str(folder / "x.lac"),
    ]  # fmt: skip


def finish(words: list[str]) -> None:
    """Run the command in this process, to its end."""
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output


def kill_when(exists: Path, words: list[str]) -> None:
    """Run the command elsewhere; kill it when it asks for a training batch while a file exists.

    It says by a pipe that it is there and then waits, so nothing depends on time.
    """
    reads, writes = os.pipe()
    hold = {"TINY_HOLD_FILE": str(exists), "TINY_HOLD_FD": str(writes), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "laconic", *words], env=os.environ | hold, pass_fds=[writes],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(writes)
    try:
        reached = os.read(reads, 1)  # nothing when the process has ended by itself
    finally:
        process.kill()
        _, errors = process.communicate(timeout=60)
        os.close(reads)
    assert reached == b"x", f"the run ended before {exists} was there: {errors}"
    assert process.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tiny) -> bytes:
    """The file of a run that nobody killed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(arguments(folder, tiny))
    return (folder / "x.lac").read_bytes()


@pytest.mark.parametrize(
    ("exists", "receipts"),
    [
        pytest.param("stage-2.partial.safetensors", 2, id="in the middle of the second stage"),
        pytest.param(
            "stage-3.safetensors", 4, id="between the third and the fourth stage",
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_a_killed_run_resumes_to_the_same_bytes(tmp_path, tiny, undisturbed, exists, receipts):
    words, run_dir = arguments(tmp_path, tiny), tmp_path / "x.lac.run"
    kill_when(run_dir / exists, words)
    assert (run_dir / "receipts.json").read_text().count('"kind"') == receipts
    assert (run_dir / exists).exists()
    assert not (tmp_path / "x.lac").exists()
    finish([*words, "--resume"])
    assert (tmp_path / "x.lac").read_bytes() == undisturbed
    assert not list(run_dir.glob("*.partial.*"))
