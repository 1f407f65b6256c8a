"""Parquet, typed: whole numbers, dollars as doubles, instants in UTC. Needs the extra `parquet`."""

from collections.abc import Sequence
from typing import IO, Any

from promptmill.producer.export.arrow import arrow_schema, import_arrow, record_batch
from promptmill.producer.export.sheet import Rows

_GROUP_BYTES = 2 << 20
"""of a row group, which is held in memory until it is written"""
_PAGE_BYTES = 64 << 10


class ParquetTable:
    """Writes row groups of some 2 MiB, compressed by zstd."""

    def __init__(self, file: IO[bytes], columns: Sequence[str]) -> None:
        schema = arrow_schema(columns)
        from pyarrow.parquet import ParquetWriter  # noqa: PLC0415  an extra

        self._columns = columns
        # Dictionaries would hold the texts of a row group once more, and zstd does as well.
        self._writer = ParquetWriter(
            file, schema, compression="zstd", use_dictionary=False, data_page_size=_PAGE_BYTES
        )
        self._batches: list[Any] = []
        self._bytes = 0

    def write(self, rows: Rows) -> None:
        batch = record_batch(self._columns, rows)
        self._batches.append(batch)
        self._bytes += batch.nbytes
        if self._bytes >= _GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._batches:
            self._writer.write_table(import_arrow().Table.from_batches(self._batches))
        self._batches, self._bytes = [], 0
