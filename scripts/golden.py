#!/usr/bin/env python3
"""Write the golden bytes of tests/golden/ anew; only after a change of the format was meant.

A test never writes them: a missing or different file fails. Look at `git diff` afterwards.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "contracts"))

from check_coder import small_cases  # noqa: E402
from small_lac import product_file, small_file  # noqa: E402

from laconic.coding import CODERS  # noqa: E402
from laconic.container import VERSION  # noqa: E402


def coder_lines() -> list[str]:
    """Coder, case and bytes in hexadecimal, one line for each pair."""
    return [
        f"{name} {case.replace(' ', '_')} {coder.encode(codes).hex()}"
        for name, coder in CODERS.items()
        for case, codes in small_cases().items()
    ]


def main() -> None:
    """Write every golden file."""
    golden = ROOT / "tests" / "golden"
    (golden / "coders.txt").write_text("\n".join(coder_lines()) + "\n", encoding="ascii")
    (golden / f"version-{VERSION}.lac").write_bytes(small_file())
    (golden / f"version-{VERSION}-products.lac").write_bytes(product_file())
    print(f"wrote {golden.relative_to(ROOT)}: {', '.join(p.name for p in golden.iterdir())}")


if __name__ == "__main__":
    main()
