"""A real browser opens the report: no console errors, and the receipts' figures in its page."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from laconic.measure.receipts import Receipt
from laconic.report import render

BINARIES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--v=0",
    "--window-size=400,900",
    "--dump-dom",
)
TIMEOUT_S = 120


@dataclass(frozen=True)
class Visit:
    """What the browser made of a page: its document, and what its console complained about."""

    document: str
    console: list[str]


def console_errors(log: str) -> list[str]:
    """Complaints of a page's console in a browser's log.

    Chromium writes each message as ``[pid:tid:time:LEVEL:CONSOLE(line)] "text"``, at INFO level
    even for an exception, so a complaint is known by its text. A page that is meant to be silent
    has none at any level: every message counts.

    >>> console_errors('[1:2:0101/1.2:INFO:CONSOLE:3] "Uncaught TypeError", source: file:///x (3)')
    ['"Uncaught TypeError", source: file:///x (3)']
    >>> console_errors('[1:2:0101/1.2:ERROR:dbus/bus.cc:408] Failed to connect to the bus')
    []
    """
    return re.findall(r"^\[[^\]]*:CONSOLE[:(][^\]]*\] (.*)$", log, re.MULTILINE)


@pytest.fixture(scope="module")
def browser() -> str:
    """Path of Chromium; a skip without it, or a failure where it is required."""
    found = next(filter(None, map(shutil.which, BINARIES)), None)
    if found is None:
        missing = f"none of {', '.join(BINARIES)} is installed (Debian package: chromium)"
        if os.environ.get("LACONIC_REQUIRE_BROWSER") == "1":
            pytest.fail(f"LACONIC_REQUIRE_BROWSER=1, but {missing}")
        pytest.skip(missing)
    return found


def visit(browser: str, page: str, directory: Path) -> Visit:
    """Open the page from a file, with a fresh profile."""
    path = directory / "page.html"
    path.write_text(page, encoding="utf-8")
    ran = subprocess.run(
        [browser, *OPTIONS, f"--user-data-dir={directory / 'profile'}", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    return Visit(html.unescape(ran.stdout), console_errors(ran.stderr))


def test_the_report_opens_silently_and_shows_the_figures_of_its_receipts(
    browser: str, receipts: list[Receipt], tmp_path: Path
) -> None:
    seen = visit(browser, render(receipts, title="LeNet-5"), tmp_path)
    assert seen.console == []
    first, last = receipts[0], receipts[-1]
    ratio = first.float32_bytes / last.size_bytes
    assert (
        f"{first.float32_bytes:,} bytes → {last.size_bytes:,} bytes: {ratio:.1f}× smaller; "
        "error 0.81 % → 0.79 %"
    ) in seen.document
    for receipt in receipts:
        assert f">{receipt.size_bytes:,}</td>" in seen.document
        assert f">{receipt.nonzeros:,}</td>" in seen.document
    for tensor in last.tensors:
        assert f">{tensor.size_bytes:,}</td>" in seen.document
    assert "LeNet-5" in seen.document


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("<script>no_such_function()</script>", "no_such_function is not defined"),
        ("<script>console.error('a complaint')</script>", "a complaint"),
    ],
    ids=["an exception", "an error message"],
)
def test_the_check_of_the_console_sees(
    browser: str, tmp_path: Path, body: str, complaint: str
) -> None:
    seen = visit(browser, f"<!doctype html><title>broken</title>{body}", tmp_path)
    assert [complaint in message for message in seen.console] == [True]
