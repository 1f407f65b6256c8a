"""gzip, unpacked as a stream that a bomb cannot fill the disk or the memory with."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from promptmill.schema.errors import InputError

MAGIC = b"\x1f\x8b"
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class UnpackCaps:
    """How much a packed input may become."""

    ratio: int = 250
    """unpacked to packed bytes; prompts reach 5 to 100, a bomb 1,000"""
    ratio_from_bytes: int = 32 << 20
    """unpacked bytes below which the ratio is not looked at"""
    total_bytes: int = 256 << 30


def gunzip(chunks: Iterable[bytes], *, file: str, caps: UnpackCaps) -> Iterator[bytes]:
    """Unpack all gzip members of *chunks*, at most 1 MiB at a time.

    Raises InputError for damaged or cut data, and for more unpacked bytes than *caps* allow.
    """
    meter = _Meter(file, caps)
    member = _new_member()
    at_start = True  # between members, where the file may end
    for chunk in chunks:
        meter.packed += len(chunk)
        rest = chunk
        while rest:
            if at_start and not (rest := rest.lstrip(b"\0")):  # tools pad the end with zeros
                break
            at_start = False
            for piece in _unpack(member, rest, file):
                meter.count(piece)
                yield piece
            rest = member.unused_data
            if member.eof:
                member, at_start = _new_member(), True
    if not at_start:
        raise _damaged(file, "it ends in the middle")


def _new_member() -> "zlib._Decompress":
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)


def _unpack(member: "zlib._Decompress", packed: bytes, file: str) -> Iterator[bytes]:
    while packed:
        try:
            piece = member.decompress(packed, _PIECE_BYTES)
        except zlib.error as error:
            raise _damaged(file, str(error)) from None
        if piece:
            yield piece
        packed = member.unconsumed_tail


@dataclass(slots=True)
class _Meter:
    file: str
    caps: UnpackCaps
    packed: int = 0
    unpacked: int = 0

    def count(self, piece: bytes) -> None:
        self.unpacked += len(piece)
        caps = self.caps
        swollen = self.unpacked > max(caps.ratio_from_bytes, caps.ratio * self.packed)
        if swollen or self.unpacked > caps.total_bytes:
            raise InputError(
                problem="the gzip file unpacks to far more than prompts do",
                file=self.file,
                line=0,
                value=f"{self.packed:,} bytes became more than {self.unpacked:,}",
                fix="look into it with gzip -l; if it is right, unpack it yourself",
            )


def _damaged(file: str, why: str) -> InputError:
    return InputError(
        problem="the gzip file is damaged",
        file=file,
        line=0,
        value=why,
        fix="make or fetch it again",
    )
