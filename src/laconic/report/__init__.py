"""The HTML report of a run: one file, no network, made from its receipts alone."""

from laconic.report.html import render, write

__all__ = ["render", "write"]
