"""Penn Treebank as numbers of words."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from laconic.errors import DataError
from laconic.zoo.locate import locate

if TYPE_CHECKING:
    from jaxtyping import Int64

PTB_WORDS = 10_000
END, UNKNOWN = "<eos>", "<unk>"


class TextSplits(NamedTuple):
    """Three texts as numbers of words, and the words themselves."""

    train: Int64[Tensor, " n"]
    validation: Int64[Tensor, " v"]
    test: Int64[Tensor, " t"]
    words: list[str]
    """Number → word: the most frequent of the training text first, equals by their letters."""


def read_ptb() -> TextSplits:
    """Penn Treebank as Mikolov et al. prepared it: 929,589, 73,760 and 82,430 tokens, 10,000 words.

    Files ``ptb/ptb.train.txt.gz``, ``ptb.valid.txt.gz`` and ``ptb.test.txt.gz``: words between
    spaces, a sentence a line. Each line ends with the word ``<eos>``; rare words are ``<unk>``.

    Raises:
        DataError: a file is missing (see `locate`) or damaged, the training text has more than
            10,000 words, or another text has a word that the training text lacks.
    """
    paths = [locate(f"ptb/ptb.{name}.txt.gz") for name in ("train", "valid", "test")]
    texts = [_words(path) for path in paths]
    counted = Counter(texts[0])
    if len(counted) > PTB_WORDS:
        raise DataError(f"{paths[0]} has {len(counted)} different words; {PTB_WORDS} are known")
    words = sorted(counted, key=lambda word: (-counted[word], word))
    numbers = {word: number for number, word in enumerate(words)}
    train, validation, test = (
        _numbered(path, text, numbers) for path, text in zip(paths, texts, strict=True)
    )
    return TextSplits(train, validation, test, words)


def _words(path: Path) -> list[str]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            words = [word for line in file for word in (*line.split(), END)]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} is damaged: it is no whole gzipped text ({error}); delete it and fetch it "
            "again"
        ) from error
    if not words:
        raise DataError(f"{path} is empty; it should hold a sentence a line")
    return words


def _numbered(path: Path, text: list[str], numbers: dict[str, int]) -> Tensor:
    other = numbers.get(UNKNOWN)
    found = [numbers.get(word, other) for word in text]
    if None in found:
        word = text[found.index(None)]
        raise DataError(f"{path} has the word {word!r}, which the training text lacks")
    return torch.tensor(found)
