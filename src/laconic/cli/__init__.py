"""The command line: arguments, tables and progress bars, nothing else.

Exit codes: 0 success, 1 failure, 2 wrong use.
"""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit; without its own packages, say how to get them."""
    try:
        from laconic.cli import commands
    except ModuleNotFoundError as error:
        sys.exit(f'failed: the command line needs {error.name}: pip install "laconic[cli]"')
    commands.main()


__all__ = ["main"]
