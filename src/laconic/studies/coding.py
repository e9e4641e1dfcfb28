"""Lossless coding of network weights: every coder of ours against DeepCABAC, zstd and xz.

Every side codes the same integers, is told their shapes and dtypes beside, and must give them back.
DeepCABAC (ISO/IEC 15938-17, by nncodec) has the best of its settings for each layer at no cost.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from laconic.coding import PRESETS
from laconic.container import to_bits, write
from laconic.pack.structure import structured
from laconic.recipe import Watcher
from laconic.studies import coding_deepcabac
from laconic.studies.coding_inputs import (
    FLOAT_FILES,
    Network,
    networks,
    own_networks,
    squeezenet_weights,
)
from laconic.studies.coding_measure import (
    FileBytes,
    NetworkBytes,
    kept,
    measure_file,
    measure_network,
)
from laconic.studies.coding_sides import DEEPCABAC, OURS, XZ, ZSTD, zstandard
from laconic.studies.coding_tables import file_tables, network_tables, side_table
from laconic.studies.study import Findings, Row, Study
from laconic.zoo.locate import locate

MOST_OF_DEEPCABAC = 0.98
SQUEEZENET_BYTES = 520_000
RELEASED_BYTES = 675_763
RIVALS = {"zstd": ZSTD, "xz": XZ}
"""A part of field names of `FileBytes` → how a row calls it."""
GROUPS = {
    "a": "the released SqueezeNet of Deep Compression",
    "b": "CIFAR ResNets at 8 to 3 bits",
    "c": "CIFAR ResNets pruned, at 5 bits",
    "d": "the LeNets of the studies",
}


def compare(watcher: Watcher, short: bool, folder: Path) -> Findings:
    """Measure every network and file, and hold the totals against the goals."""
    _check_installed()
    asked = networks(short)
    files = [locate(name) for name in (FLOAT_FILES[:1] if short else FLOAT_FILES)]
    found, packed = _measured(watcher, folder, asked, files)
    lac_bytes = whole_squeezenet(folder)
    result = [
        Row(
            "(a) the whole SqueezeNet as a .lac file, codebooks and biases in",
            f"released: {RELEASED_BYTES:,}",
            f"< {SQUEEZENET_BYTES:,} bytes",
            f"{lac_bytes:,} bytes",
            lac_bytes < SQUEEZENET_BYTES,
        ),
        _total("all of these", found, MOST_OF_DEEPCABAC),
    ]
    for group, title in GROUPS.items():
        members = [one for one in found if one.group == group]
        if members:
            result.append(_total(f"({group}) {title}", members, None))
    result += [
        _against_deepcabac(found),
        _against_entropy([one for one in found if one.has_structure]),
    ]
    for rival, name in RIVALS.items():
        claim = f"(e) each float file, untouched: bytes against {name}"
        result.append(_files(claim, packed, rival))
    result += _presets(found)
    return Findings(result, [*network_tables(found), *file_tables(packed)])


def compare_own(watcher: Watcher, inputs: Sequence[Path], folder: Path) -> Findings:
    """The same comparison on a person's own files, one row a network and a file."""
    _check_installed()
    asked = [network for file in inputs for network in own_networks(file, folder)]
    files = [file for file in inputs if file.suffix.lower() != ".lac"]
    found, packed = _measured(watcher, folder, asked, files)
    result = [_total(one.name, [one], 1.0) for one in found]
    result += _presets(found)
    for one in packed:
        for rival in RIVALS:
            result.append(
                _files(f"{one.name}, untouched: bytes against {RIVALS[rival]}", [one], rival)
            )
    return Findings(result, [*map(side_table, found), *file_tables(packed)])


def whole_squeezenet(folder: Path) -> int:
    """Bytes of a `.lac` file of the float weights and biases, their structure found by packing.

    From a `.safetensors` file, `laconic pack` adds that file's own header, deflated: 743 bytes.
    """
    weights = squeezenet_weights().items()
    found = (structured(name, to_bits(values), "F32") for name, values in weights)
    return write(folder / "squeezenet.lac", found)


def _check_installed() -> None:
    """Fail now rather than in the midst of it."""
    coding_deepcabac.extension()
    zstandard()


def _measured(
    watcher: Watcher, folder: Path, asked: Sequence[Network], files: Sequence[Path]
) -> tuple[list[NetworkBytes], list[FileBytes]]:
    count = len(asked) + len(files)
    found, packed = [], []
    for number, network in enumerate(asked, 1):
        _tell(watcher, number, count, network.name)
        make = partial(measure_network, network)
        found.append(kept(folder, network.name, NetworkBytes, make))
    for number, file in enumerate(files, len(asked) + 1):
        _tell(watcher, number, count, file.name)
        packed.append(
            kept(folder, f"{file} untouched", FileBytes, partial(measure_file, file, folder))
        )
    return found, packed


def _tell(watcher: Watcher, number: int, count: int, name: str) -> None:
    if watcher.on_input:
        watcher.on_input(number, count, name)


def _total(claim: str, found: Sequence[NetworkBytes], most: float | None) -> Row:
    ours = sum(one.size_bytes[OURS] for one in found)
    theirs = sum(one.size_bytes[DEEPCABAC] for one in found)
    entropy = sum(one.entropy_bytes for one in found)
    return Row(
        f"{claim}: bytes of the codes",
        f"DeepCABAC {theirs:,}; entropy {entropy:,}",
        "" if most is None else f"≤ {most:g}× DeepCABAC",
        f"{ours:,}, {ours / theirs:.4f}×",
        None if most is None else ours <= most * theirs,
    )


def _extreme(
    claim: str, rival: str, bound: str, factors: dict[str, float], met: Sequence[bool]
) -> Row:
    """One row for many: how many met the bound, and the one that came nearest to missing it."""
    worst = max(factors, key=factors.__getitem__)
    return Row(
        claim,
        rival,
        f"{bound} 1× on every one",
        f"{sum(met)} of {len(met)}; from {min(factors.values()):.4f}× to {factors[worst]:.4f}× "
        f"({worst})",
        all(met),
    )


def _against_deepcabac(found: Sequence[NetworkBytes]) -> Row:
    factors = {one.name: one.size_bytes[OURS] / one.size_bytes[DEEPCABAC] for one in found}
    claim = "(a) to (d) each network: bytes of the codes against DeepCABAC's"
    return _extreme(claim, DEEPCABAC, "<", factors, [factor < 1 for factor in factors.values()])


def _against_entropy(found: Sequence[NetworkBytes]) -> Row:
    factors = {one.name: one.size_bytes[OURS] / one.entropy_bytes for one in found}
    claim = "(a), (c), (d) each network: against the order-0 entropy of its layers"
    return _extreme(claim, "entropy", "≤", factors, [factor <= 1 for factor in factors.values()])


def _files(claim: str, packed: Sequence[FileBytes], rival: str) -> Row:
    """The `.lac` file against the compressed file, and the payloads against the tensors alone."""
    factors = {
        one.name: max(
            one.lac_bytes / getattr(one, f"{rival}_bytes"),
            one.payload_bytes / getattr(one, f"tensors_{rival}_bytes"),
        )
        for one in packed
    }
    met = [factor < 1 for factor in factors.values()]
    return _extreme(claim, RIVALS[rival], "<", factors, met)


def _presets(found: Sequence[NetworkBytes]) -> list[Row]:
    """Bytes and rates of what is chosen by decode speed too."""

    def both(side: str) -> str:
        encode = statistics.median(one.encode_rate[side] for one in found)
        decode = statistics.median(one.decode_rate[side] for one in found)
        return f"{encode:.1f} / {decode:.1f}"

    theirs = sum(one.size_bytes[DEEPCABAC] for one in found)
    result = []
    for preset in PRESETS:
        ours = sum(one.size_bytes[preset] for one in found)
        result.append(
            Row(
                f"preset {preset}: bytes, and million codes a second encoded / decoded on one "
                "processor (median of the networks)",
                f"DeepCABAC {theirs:,}, {both(DEEPCABAC)}",
                "",
                f"{ours:,} ({ours / theirs:.4f}×), {both(preset)}",
                None,
            )
        )
    return result


CODING = Study(
    "coding",
    "lossless coding of weights against nncodec's DeepCABAC, zstd and xz, on the same integers",
    10,
    compare,
    compare_own,
)
