"""Embeddings that are a function of the text, near for texts that share words."""

import hashlib
import math
import re
from base64 import b64encode
from struct import pack

_WORD = re.compile(r"\w+")


def vector_of(text: str, dimensions: int) -> list[float]:
    """Embed *text*, of length 1: each of its words adds one to a few places."""
    values = [0.0] * dimensions
    for word in _WORD.findall(text.lower()) or [text]:
        digest = hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()
        for at in range(0, 16, 4):
            place = int.from_bytes(digest[at : at + 3], "big") % dimensions
            values[place] += 1.0 if digest[at + 3] & 1 else -1.0
    length = math.sqrt(math.fsum(value * value for value in values))
    if not length:  # two words that cancel each other out
        values[0] = length = 1.0
    return [round(value / length, 8) for value in values]


def in_base64(vector: list[float]) -> str:
    """Write *vector* as the bytes of little-endian floats."""
    return b64encode(pack(f"<{len(vector)}f", *vector)).decode()
