"""JSON numbers that are written again exactly as they were read."""

import math
from functools import lru_cache
from typing import Self

import msgspec

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
"""What a database column and every JSON parser in the way can hold."""


class WrittenFloat(float):
    """A number whose spelling Python would change (`1.50`, `1e5`, twenty digits): it keeps it."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[type["WrittenFloat"], tuple[str]]:
        return type(self), (self.text,)


@lru_cache(maxsize=1024)
def read_float(text: str) -> float:
    """Read a JSON number that has a fraction or an exponent. Raises ValueError beyond a double."""
    number = float(text)
    if math.isinf(number):
        msg = f"{text} is beyond the range of a double"
        raise ValueError(msg)
    return number if repr(number) == text else WrittenFloat(text)


def write_float(number: object) -> msgspec.Raw:
    """Write a `WrittenFloat`: the `enc_hook` of every encoder here."""
    if isinstance(number, WrittenFloat):
        return msgspec.Raw(number.text.encode())
    msg = f"{type(number).__name__} is not JSON"
    raise NotImplementedError(msg)
