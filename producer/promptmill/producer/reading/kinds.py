"""Which kind of file this is, told by its first bytes, and by its name where they do not tell."""

import codecs
import re
from enum import StrEnum
from pathlib import PurePath
from typing import Final

from promptmill.producer.reading.dialect import Dialect, find_dialect
from promptmill.producer.reading.lines import BOM
from promptmill.producer.reading.source import Input


class FileKind(StrEnum):
    """What `--format` can say."""

    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    TEXT = "text"
    PARQUET = "parquet"


PARQUET: Final = b"PAR1"
_NOT_READ: Final = (
    (
        b"PK\x03\x04",
        "an Excel workbook or a zip file",
        "save the sheet as CSV (UTF-8), or unpack it",
    ),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Office file", "save the sheet as CSV (UTF-8)"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", "unpack it: zstd -dc FILE | promptmill run - ..."),
    (b"BZh", "packed with bzip2", "unpack it: bzcat FILE | promptmill run - ..."),
    (b"\xfd7zXZ", "packed with xz", "unpack it: xzcat FILE | promptmill run - ..."),
    (
        b"SQLite format 3",
        "a SQLite database",
        "write the rows as CSV: sqlite3 -csv -header FILE ...",
    ),
    (b"ARROW1", "an Arrow (Feather) file", "write it as Parquet or CSV"),
    (b"%PDF", "a PDF", "give its text, one prompt a line or row"),
)
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_BY_NAME: Final = {
    ".csv": FileKind.CSV,
    ".tsv": FileKind.TSV,
    ".tab": FileKind.TSV,
    ".txt": FileKind.TEXT,
    ".text": FileKind.TEXT,
    ".jsonl": FileKind.JSONL,
    ".ndjson": FileKind.JSONL,
    ".json": FileKind.JSONL,
}
_JSON_OBJECT: Final = re.compile(rb"\{\s*[\"}]")
_JSON_ARRAY: Final = re.compile(rb"\[\s*(?:$|[\[{\]\"\d-])")
_MIN_NULS: Final = 0.3
"""Of every second byte: Western text in UTF-16 has nearly all of them NUL, and no text has any."""


def kind_of(source: Input, head: bytes) -> tuple[FileKind, Dialect | None]:
    """Tell which kind *source* is, which begins with *head*, and how its cells are divided.

    Raises InputError for a file that holds nothing, and for one of a kind that is not read.
    """
    if head.startswith(PARQUET):
        return FileKind.PARQUET, None
    refuse_binary(source, head)
    text = head.removeprefix(BOM).lstrip()
    if not text:
        raise source.refused(
            problem="there is nothing in it", fix="give a file with one prompt a line or row"
        )
    if _JSON_OBJECT.match(text):
        return FileKind.JSONL, None
    named = _BY_NAME.get(_suffix(source.name))
    if named in (FileKind.CSV, FileKind.TSV, FileKind.TEXT):
        return named, find_dialect(head)
    if named is FileKind.JSONL:
        _refuse_array(source, text)
        return FileKind.JSONL, None
    dialect = find_dialect(head)
    if dialect is not None and dialect.is_told:
        return FileKind.CSV, dialect
    _refuse_array(source, text)
    return FileKind.TEXT, None


def refuse_binary(source: Input, head: bytes) -> None:
    """Refuse what is no UTF-8 text. Raises InputError that says what to do with it."""
    for magic, what, fix in _NOT_READ:
        if head.startswith(magic):
            raise source.refused(problem=f"this is {what}, which is not read", fix=fix)
    if head.startswith(_UTF16) or _is_utf16(head):
        raise source.refused(
            problem="the file is UTF-16", fix="save it as UTF-8 (iconv -f UTF-16 -t UTF-8 FILE)"
        )
    if b"\0" in head and not _is_utf8(head):
        raise source.refused(
            problem=f"this is no text: byte {head.index(0) + 1} is NUL",
            fix="give text in UTF-8 (JSONL, CSV, TSV, lines), or Parquet; gzip is fine",
            value=head[:60].decode("utf-8", "backslashreplace"),
        )


def _refuse_array(source: Input, text: bytes) -> None:
    if _JSON_ARRAY.match(text):
        raise source.refused(
            problem="the file is one JSON array, not one object a line",
            fix="jq -c '.[]' FILE | promptmill run - ...; if these are plain lines: --format text",
            value=text[:120].decode("utf-8", "replace"),
        )


def _is_utf16(head: bytes) -> bool:
    half = len(head) // 2
    nuls = {"utf-16-be": head[0::2].count(0), "utf-16-le": head[1::2].count(0)}
    encoding = max(nuls, key=lambda name: nuls[name])
    if nuls[encoding] <= _MIN_NULS * half:
        return False
    text = head[: 2 * half].decode(encoding, "replace")
    return all(char.isprintable() or char.isspace() for char in text[:1000])


def _is_utf8(head: bytes) -> bool:
    """Tell whether *head* is UTF-8, perhaps cut in a character: a NUL in it has its line then."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _suffix(name: str) -> str:
    path = PurePath(name.lower())
    return PurePath(path.stem).suffix if path.suffix == ".gz" else path.suffix
