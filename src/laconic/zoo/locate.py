"""Where data files are: `$LACONIC_DATA`, the user's cache, or the data set's public home."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from laconic.errors import DataError

VARIABLE = "LACONIC_DATA"


class Source(NamedTuple):
    """The public home of one file."""

    url: str
    sha256: str


_MNIST = "https://storage.googleapis.com/cvdf-datasets/mnist/"
SOURCES: dict[str, Source] = {
    "mnist/train-images-idx3-ubyte.gz": Source(
        _MNIST + "train-images-idx3-ubyte.gz",
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    "mnist/train-labels-idx1-ubyte.gz": Source(
        _MNIST + "train-labels-idx1-ubyte.gz",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    "mnist/t10k-images-idx3-ubyte.gz": Source(
        _MNIST + "t10k-images-idx3-ubyte.gz",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    "mnist/t10k-labels-idx1-ubyte.gz": Source(
        _MNIST + "t10k-labels-idx1-ubyte.gz",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    # The binary version: the Python one holds pickles, which laconic never opens.
    "cifar10/cifar-10-binary.tar.gz": Source(
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
}
"""Relative name → public home. MNIST: a mirror of Yann LeCun's files; CIFAR-10: Krizhevsky's."""


def data_folder() -> Path | None:
    """The folder that `$LACONIC_DATA` names, or None where the variable is unset or empty.

    Raises:
        DataError: the variable names something that is no folder.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return None
    folder = Path(text)
    if not folder.is_dir():
        raise DataError(
            f"{VARIABLE} is {text!r}, but there is no such folder; correct the variable, or unset"
            " it to use the cache and downloads"
        )
    return folder


def locate(relative_name: str) -> Path:
    """The file of that name: in `$LACONIC_DATA`, else in the user's cache, else downloaded there.

    Nothing is downloaded when the file is in `$LACONIC_DATA`, and such a file is taken as it is
    (its reader checks it). A file in the cache must have the SHA-256 that `SOURCES` gives.

    Raises:
        DataError: the file is in neither place and cannot be downloaded; the message names the
            file, the variable and the command that gets it.
    """
    folder = data_folder()
    if folder is not None and (folder / relative_name).is_file():
        return folder / relative_name
    looked = f"{VARIABLE} is not set" if folder is None else f"it is not in {VARIABLE}={folder}"
    source = SOURCES.get(relative_name)
    if source is None:
        raise DataError(
            f"the file {relative_name} is missing: {looked}, and no public home of it is known;"
            f" put it into a folder and set {VARIABLE} to that folder"
        )
    return _fetch(relative_name, source, looked)


def _fetch(relative_name: str, source: Source, looked: str) -> Path:
    # Imported here: a person whose data lie in $LACONIC_DATA needs no pooch.
    try:
        import pooch
    except ImportError as error:
        raise DataError(
            f"the file {relative_name} is missing: {looked}, and downloading it needs pooch;"
            ' run: pip install "laconic[zoo]"'
        ) from error
    cache = Path(pooch.os_cache("laconic"))
    store = pooch.create(
        path=cache,
        base_url="",
        registry={relative_name: f"sha256:{source.sha256}"},
        urls={relative_name: source.url},
    )
    try:
        return Path(store.fetch(relative_name))
    # OSError: network or disk (requests' errors are OSErrors); ValueError: pooch's hash check.
    except (OSError, ValueError) as error:
        name = relative_name.split("/")[0]
        raise DataError(
            f"the file {relative_name} is missing: {looked}, it is not in the cache {cache}, and"
            f" {source.url} could not be had ({error}). Where there is a network, run"
            f" `python -m laconic.zoo {name}`; or put the file into a folder as {relative_name}"
            f" and set {VARIABLE} to that folder"
        ) from error
