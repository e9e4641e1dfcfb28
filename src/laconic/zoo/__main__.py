"""Fetches and checks data sets: ``python -m laconic.zoo mnist cifar10``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from laconic.errors import LaconicError
from laconic.zoo.data import ImageSplits, read_cifar10, read_mnist

DATA_SETS: dict[str, Callable[[], ImageSplits]] = {"mnist": read_mnist, "cifar10": read_cifar10}


def main(names: Sequence[str]) -> int:
    """Finds or downloads each data set and reads it whole; returns the exit code."""
    unknown = [name for name in names if name not in DATA_SETS]
    if unknown or not names:
        listed = " ".join(DATA_SETS)
        print(f"usage: python -m laconic.zoo NAME [NAME …], of: {listed}", file=sys.stderr)
        return 2
    for name in names:
        try:
            splits = DATA_SETS[name]()
        except LaconicError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        train, test = len(splits.train_labels), len(splits.test_labels)
        print(f"{name}: ready, {train} training and {test} test images")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
