#!/usr/bin/env python3
"""How fast packed networks run here, in ONNX Runtime, OpenVINO and PyTorch, on the same machine.

The same as `laconic bench`: all sides take turns, each in a process of its own on as many
processors as it has threads; medians, spreads and factors, and whether each goal is met.

    python benchmarks/runtime.py [--only resnet56 …] [--threads 1 …] [--folder DIR] [--json]
    python benchmarks/runtime.py --short        seconds: what small networks compute is compared
    python benchmarks/runtime.py --stored       the kept result; exit code 1 where a goal is missed
"""

from __future__ import annotations

import sys

from laconic.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "bench")
    main()
