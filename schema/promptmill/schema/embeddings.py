"""Vectors out of the provider's own answer to an embeddings request."""

import json
from array import array
from base64 import b64decode
from sys import byteorder
from typing import Any

import msgspec


class _Vector(msgspec.Struct):
    values: list[float] = []


class _Item(msgspec.Struct):
    embedding: list[float] | str


class _Answer(msgspec.Struct):
    data: list[_Item] = []
    """OpenAI's, one an input"""
    embedding: _Vector | None = None
    """Gemini's"""


def embeddings_in(body: str | bytes) -> list[list[float]]:
    """Return the vectors of *body*, one an input; none where it is no answer with vectors.

    OpenAI writes a vector as numbers, or, where `encoding_format` asks for base64, as the bytes of
    little-endian floats.
    """
    try:
        # Not by msgspec's own reader, which refuses half a surrogate pair, wherever it stands.
        answer = msgspec.convert(json.loads(body), type=_Answer)
    except msgspec.ValidationError:
        return []
    if answer.embedding is not None:
        return [answer.embedding.values]
    return [_vector(item.embedding) for item in answer.data]


def _vector(written: list[float] | str) -> list[float]:
    if not isinstance(written, str):
        return written
    numbers: array[Any] = array("f", b64decode(written))
    if byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
