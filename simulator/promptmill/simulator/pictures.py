"""The smallest pictures there are: real PNG files of one colour, a function of the prompt."""

import struct
import zlib
from base64 import b64encode
from hashlib import sha256


def png_of(text: str) -> bytes:
    """Draw one pixel in a colour that *text* chooses."""
    colour = sha256(text.encode("utf-8", "surrogatepass")).digest()[:3]
    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + colour)
    chunks = ((b"IHDR", head), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def in_base64(text: str) -> str:
    """Draw as `png_of`, and write it as answers carry it."""
    return b64encode(png_of(text)).decode()


def _chunk(name: bytes, data: bytes) -> bytes:
    checked = name + data
    return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))
