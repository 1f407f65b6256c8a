"""Which kind of input this is, told by what is in it.

A format is one file of this package with one class; it is entered here.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol, assert_never

from promptmill.producer.reading import openai_batch
from promptmill.producer.reading.anthropic_batch import AnthropicBatch
from promptmill.producer.reading.csv_rows import CSVRows
from promptmill.producer.reading.dialect import Dialect, find_dialect
from promptmill.producer.reading.gemini_batch import GeminiBatch
from promptmill.producer.reading.kinds import FileKind, kind_of, refuse_binary
from promptmill.producer.reading.lines import BOM
from promptmill.producer.reading.native_lines import NativeLines
from promptmill.producer.reading.openai_batch import OpenAIBatch
from promptmill.producer.reading.openai_native import URLS, OpenAINative
from promptmill.producer.reading.options import ReadOptions
from promptmill.producer.reading.parquet_rows import ParquetRows
from promptmill.producer.reading.prompt import Prompt
from promptmill.producer.reading.rows import JSONRows
from promptmill.producer.reading.source import Input
from promptmill.producer.reading.strict_json import decode_object
from promptmill.producer.reading.text_lines import TextLines
from promptmill.producer.reading.usual_line import URL
from promptmill.schema.errors import InputError
from promptmill.schema.provider_kinds import ProviderKind


class Format(Protocol):
    """One kind of file."""

    @property
    def described(self) -> str:
        """What people are told it was taken for."""
        ...

    @property
    def only_for(self) -> ProviderKind | None:
        """Whose own requests these are, which nobody else can answer; None: anybody's."""
        ...

    def prompts(self, source: Input) -> Iterator[Prompt | InputError]:
        """Yield each prompt, or the error that refuses it.

        Raises InputError where nothing after that place can be read.
        """
        ...


def recognise(source: Input, options: ReadOptions) -> Format:
    """Tell the format of *source* by its first bytes, or take the one that was asked for.

    Raises InputError for a file that holds nothing, or of a kind that is not read.
    """
    head = source.head()
    if options.url is not None:
        return _ordered(source, head, options, options.url)
    if options.folder is None:
        options = replace(options, folder=source.folder)
    if options.format is None:
        kind, dialect = kind_of(source, head)
    else:
        kind, dialect = FileKind(options.format), find_dialect(head)
        if kind is not FileKind.PARQUET:
            refuse_binary(source, head)
    match kind:
        case FileKind.PARQUET:
            return ParquetRows(options.for_chat())
        case FileKind.CSV:
            return CSVRows(options.for_chat(), dialect)
        case FileKind.TSV:
            return CSVRows(options.for_chat(), Dialect("\t"))
        case FileKind.TEXT:
            return TextLines(options.for_chat())
        case FileKind.JSONL:
            return _json_lines(source, options)
        case _:
            assert_never(kind)


def _json_lines(source: Input, options: ReadOptions) -> Format:
    first = next(source.lines(options.max_line_bytes), None)
    if first is None:
        raise _nothing_in(source)
    value = decode_object(first)
    chat = options.for_chat()
    if openai_batch.is_request(value):
        url = value.get("url")
        return _batch_lines(options, url if isinstance(url, str) and url in URLS else URL)
    for dialect in (AnthropicBatch(), GeminiBatch()):
        if isinstance(value.get(dialect.body_field), dict) and value.keys() <= dialect.fields:
            return NativeLines(options, dialect)
    return JSONRows(chat)


def _ordered(source: Input, head: bytes, options: ReadOptions, url: str) -> Format:
    refuse_binary(source, head)
    if not head.removeprefix(BOM).strip():
        raise _nothing_in(source)
    return _batch_lines(options, url)


def _nothing_in(source: Input) -> InputError:
    return source.refused(
        problem="there is nothing in it", fix="give a file with one prompt a line or row"
    )


def _batch_lines(options: ReadOptions, url: str) -> Format:
    if url in URLS:
        return NativeLines(options, OpenAINative(url))
    return OpenAIBatch(options.for_chat())
