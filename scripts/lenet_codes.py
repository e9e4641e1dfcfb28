#!/usr/bin/env python3
"""Keep the integers of a packed LeNet as an input of ``laconic study coding``.

    laconic study lenet5-deep-compression --run-dir runs/lenet5
    python scripts/lenet_codes.py runs/lenet5/lenet5.lac studies/inputs/lenet5.npz

and the same for lenet-300-100. Weights alone, in the order of the file; biases are no codes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from laconic.container import LacFile
from laconic.studies.coding_sides import narrowest


def main() -> None:
    parser = argparse.ArgumentParser(description="The codes of a .lac file as .npz.")
    parser.add_argument("source", type=Path, help="a .lac file")
    parser.add_argument("target", type=Path, help="the .npz file")
    options = parser.parse_args()
    with LacFile(options.source) as opened:
        stored = [opened.stored(name) for name in opened.entries]
    codes = {one.name: narrowest(one.codes) for one in stored if one.grid != "plain"}
    np.savez_compressed(options.target, **codes)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
