"""The program itself: help, version, wrong use, what is missing."""

import builtins
import subprocess
import sys

import pytest

from laconic import cli
from laconic.errors import DataError

COMMANDS = [
    "demo", "compress", "pack", "unpack", "export", "inspect", "verify", "run", "measure",
    "report", "study", "bench",
]  # fmt: skip


def test_without_arguments_it_shows_what_there_is(laconic):
    ended = laconic()
    assert ended.code == 2
    for command in COMMANDS:
        assert f" {command} " in ended.out + ended.err


def test_it_is_a_module_too():
    command = [sys.executable, "-m", "laconic", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Neural networks in fewer bits" in done.stdout


def test_it_tells_its_version(laconic):
    ended = laconic("--version")
    assert (ended.code, ended.out[:8], ended.err) == (0, "laconic ", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(laconic, command):
    ended = laconic(command, "--help")
    assert ended.code == 0
    assert "--json" in ended.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["squash"], "squash", id="an unknown command"),
        pytest.param(["inspect"], "source", id="a missing argument"),
        pytest.param(["inspect", "x.lac"], "'x.lac' does not exist", id="a missing file"),
        pytest.param(["inspect", "."], "directory", id="a directory for a file"),
        pytest.param(["verify", "--quick", "x"], "--quick", id="an unknown option"),
        pytest.param(
            ["measure", __file__, "--task", "digits", "--count", "0"],
            "--count",
            id="a number out of range",
        ),
        pytest.param(
            ["compress", "zoo:lenet5", "--recipe", "demo", "-o", "x.lac"],
            "--task",
            id="a missing option",
        ),
        pytest.param(
            ["pack", __file__, "/nowhere/x.lac"],
            "the folder /nowhere does not exist",
            id="a folder that does not exist",
        ),
    ],
)
def test_wrong_use_ends_with_2(laconic, words, message):
    ended = laconic(*words)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err


def failing(error):
    def resolve(text):
        raise error

    return resolve


def test_a_failure_ends_with_1_and_keeps_the_message_as_it_is(laconic, monkeypatch, files):
    message = "[bold]x[/bold] has shape [2, 3], " + 300 * "long "
    monkeypatch.setattr("laconic.zoo.resolve_task", failing(DataError(message)))
    ended = laconic("measure", files / "tiny.lac", "--task", "digits")
    assert (ended.code, ended.out) == (1, "")
    assert f"failed: {message}" in ended.err


def test_a_failure_of_the_system_ends_with_1(laconic, monkeypatch, files):
    monkeypatch.setattr("laconic.zoo.resolve_task", failing(OSError(28, "No space left")))
    ended = laconic("measure", files / "tiny.lac", "--task", "digits")
    assert (ended.code, ended.err.splitlines()[-1]) == (1, "failed: [Errno 28] No space left")


def test_a_missing_package_is_named(laconic, monkeypatch, files):
    error = ModuleNotFoundError("No module named 'sklearn'", name="sklearn.datasets")
    monkeypatch.setattr("laconic.zoo.resolve_task", failing(error))
    ended = laconic("measure", files / "tiny.lac", "--task", "digits")
    assert ended.code == 1
    assert ended.err.splitlines()[-1] == (
        'failed: this command needs sklearn.datasets: pip install "laconic[all]"'
    )


def test_without_the_packages_of_the_command_line_it_says_how_to_get_them(monkeypatch):
    real = builtins.__import__

    def without_typer(name, *rest, **named):
        if name == "typer":
            raise ModuleNotFoundError("No module named 'typer'", name="typer")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without_typer)
    for name in [name for name in sys.modules if name.startswith("laconic.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(cli, "commands")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == ('failed: the command line needs typer: pip install "laconic[cli]"')
