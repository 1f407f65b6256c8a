"""Inputs that are packed very small."""

import zlib

_LINE = b'{"text": "' + b"x" * 1_000_000 + b'"}\n'


def bomb(lines: int) -> bytes:
    """Pack so many lines of a megabyte. Each is a block that stands alone, so one is packed."""
    packer = zlib.compressobj(9, wbits=31)
    first, next_one = (packer.compress(_LINE) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + (lines - 1) * next_one
