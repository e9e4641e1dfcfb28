"""MNIST and CIFAR-10 as arrays of bytes; nothing here opens a pickle."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from laconic.errors import DataError
from laconic.zoo.locate import data_folder, locate

if TYPE_CHECKING:
    from jaxtyping import Int64, UInt8

Bytes = NDArray[np.uint8]

CIFAR10_ARCHIVE = "cifar10/cifar-10-binary.tar.gz"
_CIFAR10_PARTS = ["train_1", "train_2", "train_3", "train_4", "train_5", "test"]


class ImageSplits(NamedTuple):
    """Images and class numbers as they were published."""

    train_images: UInt8[Tensor, "n c h w"]
    train_labels: Int64[Tensor, " n"]
    test_images: UInt8[Tensor, "m c h w"]
    test_labels: Int64[Tensor, " m"]


def read_mnist() -> ImageSplits:
    """MNIST (LeCun et al., 1998): 60,000 and 10,000 images ``[n, 1, 28, 28]``, 10 classes.

    Raises:
        DataError: a file is missing (see `locate`) or damaged.
    """
    parts: list[Tensor] = []
    for name, count in [("train", 60_000), ("t10k", 10_000)]:
        images = _read_idx(locate(f"mnist/{name}-images-idx3-ubyte.gz"), (count, 28, 28))
        labels_path = locate(f"mnist/{name}-labels-idx1-ubyte.gz")
        labels = _read_idx(labels_path, (count,))
        _check_labels(labels_path, labels)
        parts += [torch.from_numpy(images[:, None]), torch.from_numpy(labels).long()]
    return ImageSplits(*parts)


def read_cifar10() -> ImageSplits:
    """CIFAR-10 (Krizhevsky, 2009): 50,000 and 10,000 RGB images ``[n, 3, 32, 32]``, 10 classes.

    Two layouts are read: ``cifar10/train_1.npz`` … ``train_5.npz`` and ``test.npz`` in
    `$LACONIC_DATA` (pixels differenced along both axes and across channels, as stored by
    `_read_differenced`), else the published binary archive, wherever `locate` finds it.

    Raises:
        DataError: a file is missing (see `locate`) or damaged.
    """
    folder = data_folder()
    if folder is not None and any(
        (folder / f"cifar10/{part}.npz").is_file() for part in _CIFAR10_PARTS
    ):
        parts = [_read_differenced(locate(f"cifar10/{part}.npz")) for part in _CIFAR10_PARTS]
    else:
        parts = _read_cifar10_archive(locate(CIFAR10_ARCHIVE))
    images = [torch.from_numpy(images) for images, _ in parts]
    labels = [torch.from_numpy(labels).long() for _, labels in parts]
    return ImageSplits(torch.cat(images[:5]), torch.cat(labels[:5]), images[5], labels[5])


def _read_idx(path: Path, shape: tuple[int, ...]) -> Bytes:
    """The uint8 array of a gzipped idx file: 0, 0, type 8, dimensions, sizes (big-endian), data."""
    header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
    expected = len(header) + int(np.prod(shape))
    try:
        with gzip.open(path) as file:
            content = file.read(expected + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, f"it is no whole gzip file ({error})") from error
    if content[: len(header)] != header:
        raise _damaged(
            path, f"it begins with {content[: len(header)].hex()}, not with {header.hex()}"
        )
    if len(content) != expected:
        found = "more" if len(content) > expected else f"{len(content)}"
        raise _damaged(path, f"it unpacks to {found} bytes, not {expected}")
    # A copy, because torch wants memory that may be written.
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape).copy()


def _read_differenced(path: Path) -> tuple[Bytes, Bytes]:
    """Images ``[10000, 3, 32, 32]`` and labels of one ``.npz`` part.

    ``residual`` holds uint8 differences ``[3, 10000, 32, 32]``: red and blue less green, then
    each channel less its neighbour above and left; sums wrap round and so undo them exactly.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            residual, labels = archive["residual"], archive["label"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(path, f"it holds no arrays residual and label ({error})") from error
    shapes = (residual.dtype, residual.shape, labels.dtype, labels.shape)
    if shapes != (np.uint8, (3, 10_000, 32, 32), np.uint8, (10_000,)):
        raise _damaged(
            path,
            f"residual is {residual.dtype} {residual.shape} and label {labels.dtype}"
            f" {labels.shape}, not uint8 (3, 10000, 32, 32) and uint8 (10000,)",
        )
    _check_labels(path, labels)
    residual[[0, 2]] += residual[1]
    images = residual.cumsum(3, dtype=np.uint8).cumsum(2, dtype=np.uint8).transpose(1, 0, 2, 3)
    return np.ascontiguousarray(images), labels


def _read_cifar10_archive(path: Path) -> list[tuple[Bytes, Bytes]]:
    """Images and labels of the five training parts and the test part of the binary version.

    Each part is 10,000 records of a label byte and 3072 pixel bytes, channel first.
    """
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
    contents: dict[str, bytes] = {}
    try:
        # One pass over the stream, reading members in memory: nothing is extracted to disk.
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                name = member.name.rpartition("/")[2]
                file = archive.extractfile(member) if name in names else None
                if file is not None:
                    contents[name] = file.read(10_000 * 3073 + 1)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise _damaged(path, f"it is no whole gzipped tar file ({error})") from error
    return [_cifar10_records(path, name, contents.get(name)) for name in names]


def _cifar10_records(path: Path, name: str, content: bytes | None) -> tuple[Bytes, Bytes]:
    if content is None:
        raise _damaged(path, f"it has no member {name}")
    if len(content) != 10_000 * 3073:
        raise _damaged(path, f"its member {name} is not {10_000 * 3073} bytes long")
    records = np.frombuffer(content, np.uint8).reshape(10_000, 3073)
    labels = records[:, 0].copy()
    _check_labels(path, labels)
    return records[:, 1:].reshape(10_000, 3, 32, 32).copy(), labels


def _check_labels(path: Path, labels: Bytes) -> None:
    if labels.max() > 9:
        raise _damaged(path, f"a label is {labels.max()}; there are ten classes, 0 to 9")


def _damaged(path: Path, finding: str) -> DataError:
    return DataError(f"{path} is damaged: {finding}; delete it and fetch it again")
