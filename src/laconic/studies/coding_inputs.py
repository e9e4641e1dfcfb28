"""The networks whose integers `laconic study coding` codes, and the files that it packs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from laconic.coding import IntArray
from laconic.container import LacFile, StoredTensor
from laconic.errors import DataError, UsageError
from laconic.pack import pack_file
from laconic.studies.coding_sides import narrowest
from laconic.studies.study import results_folder
from laconic.zoo.locate import locate

Weights = NDArray[np.floating]
Layers = dict[str, IntArray]

SQUEEZENET = "deep_compression/squeezenet_v1_0_decoded.safetensors"
RESNETS = ("resnet20", "resnet32", "resnet44", "resnet56")
BITS = (8, 6, 5, 4, 3)
PRUNED_BITS = 5
SPARSITIES = (0.8, 0.9)
LENETS = ("lenet-300-100", "lenet5")
FLOAT_FILES = (
    *(f"cifar10_models/{name}.safetensors" for name in RESNETS),
    "cifar10_models/distiller_resnet20_dense.safetensors",
    "cifar10_models/distiller_resnet20_ssl_channels.safetensors",
    "cifar10_models/distiller_resnet20_ssl_5convs_removed.safetensors",
    "cifar10_models/mlperf_tiny_resnet8.safetensors",
    "imagenet_models/squeezenet1_1_fp16.safetensors",
)
SHORT = ("resnet20 8 bits", "resnet20 3 bits", "resnet20 90 % pruned", "lenet-300-100")
OWN_BITS = (8, 5)
"""Of the float tensors in a person's own file."""
LIMITS = np.iinfo(np.int32)
OWN_INTEGERS = ("U8", "I8", "U16", "I16", "I32")
OWN_DTYPES = (*OWN_INTEGERS, "F16", "BF16", "F32", "F64")
FEW = 8
"""So many weights on average for each distinct value, or more, and they stand on a codebook."""


@dataclass(frozen=True)
class Network:
    """The integer codes of one network, made when they are asked for."""

    name: str
    group: str
    """A letter of the issue that set the goals: `a` to `d`; `own` for a person's own file."""
    layers: Callable[[], Layers]

    @property
    def has_structure(self) -> bool:
        """Whether zeros were put where weights mattered least, so that they are no coin flips."""
        return self.group in ("a", "c", "d")


def networks(short: bool) -> list[Network]:
    """All that are compared, in the order of the tables."""
    found = [Network("SqueezeNet", "a", squeezenet)]
    for name in RESNETS:
        for bits in BITS:
            found.append(Network(f"{name} {bits} bits", "b", partial(resnet, name, bits)))
    for name in RESNETS:
        for sparsity in SPARSITIES:
            layers = partial(resnet, name, PRUNED_BITS, sparsity)
            found.append(Network(f"{name} {sparsity:.0%}".replace("%", " % pruned"), "c", layers))
    found += [Network(name, "d", partial(lenet, name)) for name in LENETS]
    return [network for network in found if not short or network.name in SHORT]


def squeezenet() -> Layers:
    """The released SqueezeNet of Deep Compression: places of the weights in sorted codebooks."""
    tensors = load_file(locate(SQUEEZENET))
    return {
        name.removesuffix(".code"): by_value(tensors[name.replace(".code", ".codebook")][codes])
        for name, codes in tensors.items()
        if name.endswith(".code")
    }


def squeezenet_weights() -> dict[str, NDArray[np.float32]]:
    """The same network's weights and biases as float32."""
    tensors = load_file(locate(SQUEEZENET))
    found = {}
    for name, tensor in tensors.items():
        if name.endswith(".code"):
            layer = name.removesuffix(".code")
            found[f"{layer}.weight"] = tensors[f"{layer}.codebook"][tensor]
            found[f"{layer}.bias"] = tensors[f"{layer}.bias"]
    return found


def resnet(name: str, bits: int, sparsity: float = 0.0) -> Layers:
    """Codes of the convolutions and the linear layer; the smallest weights of each pruned first."""
    tensors = load_file(locate(f"cifar10_models/{name}.safetensors"))
    return {
        layer: uniform_codes(pruned(weights, sparsity), bits)
        for layer, weights in tensors.items()
        if weights.ndim >= 2
    }


def lenet(name: str) -> Layers:
    """Codes of the weights that the study of that name ended with, made by scripts/lenet_codes.py.

    Raises:
        DataError: outside a clone of the project.
    """
    path = results_folder().parent / "inputs" / f"{name}.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            return {layer: file[layer] for layer in file.files}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def by_value(weights: Weights) -> IntArray:
    """The place of each weight among the distinct ones, in order; the value 0 has place 0.

    Examples:
        >>> by_value(np.float32([0.5, -2, 0, 7, 0.5])).tolist()
        [1, -1, 0, 2, 1]
    """
    distinct = np.unique(weights)
    places = np.searchsorted(distinct, weights) - np.count_nonzero(distinct < 0)
    if not (distinct == 0).any():
        places += places >= 0
    return narrowest(places)


def uniform_codes(weights: Weights, bits: int) -> IntArray:
    """Symmetric uniform codes: per index of the first axis, the largest magnitude has the top code.

    Examples:
        >>> uniform_codes(np.float32([[1, -7], [0, 0.5]]), 4).tolist()
        [[1, -7], [0, 7]]
    """
    top = 2 ** (bits - 1) - 1
    rows = weights.reshape(len(weights), -1).astype(np.float64)
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0)
    scales = np.where(largest > 0, largest / top, 1)
    return narrowest(np.rint(rows / scales).astype(np.int64).reshape(weights.shape))


def pruned(weights: Weights, sparsity: float) -> Weights:
    """The weights with that share of them, the smallest of this layer, set to zero.

    Examples:
        >>> pruned(np.float32([3, -1, 2, -4]), 0.5).tolist()
        [3.0, 0.0, 0.0, -4.0]
    """
    left = weights.copy()
    order = np.argsort(np.abs(weights), axis=None, kind="stable")
    left.reshape(-1)[order[: round(sparsity * weights.size)]] = 0
    return left


def own_networks(file: Path, folder: Path) -> Iterator[Network]:
    """The networks in a person's own file: integers as they are, floats at `OWN_BITS` bits.

    Floats on a grid (few distinct values, or steps of one size) count as integers: their codes in
    the `.lac` file. Left out are vectors and scalars, integers that nncodec cannot hold (wider than
    32 bits), floats of 8 bits, and floats that are not all finite.

    Args:
        file: `.safetensors`, `.npz`, `.onnx` or `.lac`.
        folder: where a file that is none of ours is packed, so that one reader serves all.

    Raises:
        UsageError: the file has no such tensor.
    """
    packed = file
    if file.suffix.lower() != ".lac":
        packed = folder / f"{file.name}.lac"
        pack_file(file, packed)
    integers, floats = _own_tensors(packed)
    if integers:
        yield Network(f"{file} integers", "own", lambda: integers)
    for bits in OWN_BITS if floats else ():
        layers = partial(_all_uniform, floats, bits)
        yield Network(f"{file} {bits} bits", "own", layers)
    if not integers and not floats:
        raise UsageError(f"{file} holds no matrix of integers or floats, which is what is compared")


def _own_tensors(packed: Path) -> tuple[Layers, dict[str, Weights]]:
    """Integers and floats that are to be quantized, by name."""
    integers: Layers = {}
    floats: dict[str, Weights] = {}
    with LacFile(packed) as opened:
        for name, entry in opened.entries.items():
            if len(entry.shape) < 2 or 0 in entry.shape or entry.dtype not in OWN_DTYPES:
                continue
            values = opened.array(name)
            if entry.dtype in OWN_INTEGERS:
                if values.min() > LIMITS.min and values.max() < LIMITS.max:
                    integers[name] = narrowest(values)
            elif (codes := _grid_codes(values, opened.stored(name))) is not None:
                integers[name] = codes
            elif np.isfinite(values).all():
                floats[name] = values
    return integers, floats


def _grid_codes(values: Weights, stored: StoredTensor) -> IntArray | None:
    """The integers behind floats on a grid; None where there is no grid."""
    if stored.grid != "plain" and stored.codes.shape == values.shape:
        return narrowest(stored.codes)
    # A table is sometimes kept by the coder rather than by the grid.
    if np.isfinite(values).all() and len(np.unique(values)) * FEW <= values.size:
        return by_value(values)
    return None


def _all_uniform(weights: dict[str, Weights], bits: int) -> Layers:
    return {name: uniform_codes(values, bits) for name, values in weights.items()}
