"""From texts to vectors of length 1: by words and letters, or by a function of the user's own."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from itertools import pairwise
from zlib import crc32

import numpy as np
import numpy.typing as npt

from promptmill.schema.errors import SettingsError

Vectors = npt.NDArray[np.float32]
LOCAL = "local"
_DIMENSIONS = 512
_WORD = re.compile(r"\w+")
_LETTERS = 3


class Embedder:
    """Makes vectors. *name* tells which function made them."""

    def __init__(self, name: str) -> None:
        """Find the function *name*: `local`, or `package.module:function`. Raises SettingsError."""
        self.name = name
        self._embed = embed_locally if name == LOCAL else _found(name)

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Make a row of length 1 for each text. Raises what the function raises."""
        return of_length_1(self._embed(texts), count=len(texts), by=self.name)


def of_length_1(vectors: Iterable[Sequence[float]], *, count: int, by: str) -> Vectors:
    """Make rows of length 1 of what *by* made. Raises ValueError where there are not *count*."""
    rows = np.asarray(vectors, dtype=np.float32)
    if rows.ndim != 2 or len(rows) != count or not np.isfinite(rows).all():
        msg = f"{by} made no vector of numbers for each text"
        raise ValueError(msg)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    even: Vectors = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return even


def embed_locally(texts: Sequence[str]) -> Vectors:
    """Count words, pairs of words and groups of letters. It knows spelling, and no meaning."""
    rows = np.zeros((len(texts), _DIMENSIONS), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        for feature, weight in _features(text):
            hashed = crc32(feature.encode())
            row[hashed % _DIMENSIONS] += weight if hashed & 1 << 31 else -weight
    return rows


def _features(text: str) -> Iterator[tuple[str, float]]:
    """Pairs weigh most: another word, or another order, is another question."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    for word in words:
        yield word, 1.0
        padded = f"<{word}>"
        for at in range(len(padded) - _LETTERS + 1):
            yield padded[at : at + _LETTERS], 0.3
    for one, two in pairwise(words):
        yield f"{one} {two}", 2.0


def _found(name: str) -> Callable[[Sequence[str]], Iterable[Sequence[float]]]:
    module, _, function = name.partition(":")
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        msg = f"cache.embedder is {name!r}, which cannot be imported: {type(error).__name__}"
        raise SettingsError(msg) from error
    if not callable(found):
        msg = f"cache.embedder is {name!r}, which is no function"
        raise SettingsError(msg)
    return found  # type: ignore[no-any-return]
