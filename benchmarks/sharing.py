"""Seconds to fit a codebook on one core; the goal is 20 s.

As many weights as AlexNet's first fully connected layer has: 9216 · 4096.

    python benchmarks/sharing.py
"""

import time

import numpy as np
import torch

from laconic.share import STARTS, Share

COUNT = 9216 * 4096
GOAL_SECONDS = 20


def main() -> None:
    """Print a line for each start and number of bits."""
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    weight = torch.from_numpy(generator.standard_normal(COUNT, dtype=np.float32) * 0.01)
    for start in STARTS:
        for bits in (4, 5, 8):
            step = Share(bits, start)
            began = time.perf_counter()
            step.fit(weight)
            seconds = time.perf_counter() - began
            print(f"{COUNT:,} weights, {bits} bits, {start}: {seconds:.1f} s of {GOAL_SECONDS} s")


if __name__ == "__main__":
    main()
