"""The command line: arguments, tables and progress bars, nothing else.

Exit codes: 0 success, 1 failure, 2 wrong use.
"""

from laconic.cli.main import app, main

__all__ = ["app", "main"]
