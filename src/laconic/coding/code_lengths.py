"""Lengths of Huffman's codes from integer counts; no float, so that every machine gets the same."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST = 20


def huffman_lengths(counts: Sequence[int]) -> list[int]:
    """The length of each symbol's code (Huffman 1952), for counts of at least 1.

    Total order: of equal counts the symbol that comes first is taken first, and symbols before
    joined nodes. Where a code would be longer than 20 bits, all counts are halved, rounding up,
    and it is built again; equal counts give at most 16 bits for 65,536 symbols, so that ends.
    One symbol alone has length 0.

    Examples:
        >>> huffman_lengths([5, 1, 1, 2])
        [1, 3, 3, 2]
        >>> max(huffman_lengths([2**i for i in range(40)]))
        20
    """
    lengths = _unlimited(counts)
    while max(lengths, default=0) > LONGEST:
        counts = [(count + 1) // 2 for count in counts]
        lengths = _unlimited(counts)
    return lengths


def _unlimited(counts: Sequence[int]) -> list[int]:
    """Two queues: symbols by count, and joined nodes, which arise in ascending order by itself."""
    size = len(counts)
    if size < 2:
        return [0] * size
    order = sorted(range(size), key=counts.__getitem__)  # stable: ties stay in list order
    weights = [counts[symbol] for symbol in order]
    parents = [0] * (2 * size - 1)
    leaf, joined = 0, size
    for node in range(size, 2 * size - 1):
        weight = 0
        for _ in range(2):
            if leaf < size and (joined == node or weights[leaf] <= weights[joined]):
                chosen, leaf = leaf, leaf + 1
            else:
                chosen, joined = joined, joined + 1
            parents[chosen] = node
            weight += weights[chosen]
        weights.append(weight)
    depths = [0] * (2 * size - 1)  # the root is the last node
    for node in range(2 * size - 3, -1, -1):
        depths[node] = depths[parents[node]] + 1
    lengths = [0] * size
    for place, symbol in enumerate(order):
        lengths[symbol] = depths[place]
    return lengths
