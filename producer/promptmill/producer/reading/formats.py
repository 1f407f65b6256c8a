"""Which kind of file this is, told by what is in it.

A format is one file of this package with one class; it is entered here.
"""

from collections.abc import Iterator
from typing import Protocol

from promptmill.producer.reading import openai_batch
from promptmill.producer.reading.lines import Line
from promptmill.producer.reading.openai_batch import OpenAIBatch
from promptmill.producer.reading.options import ReadOptions
from promptmill.producer.reading.prompt import Prompt
from promptmill.producer.reading.rows import JSONRows
from promptmill.producer.reading.source import Input
from promptmill.producer.reading.strict_json import decode_object
from promptmill.schema.errors import InputError

_ONE_OBJECT_A_LINE = "give JSONL, one JSON object a line: OpenAI Batch lines, or rows with -p"


class Format(Protocol):
    """One kind of file."""

    def prompts(self, source: Input) -> Iterator[Prompt | InputError]:
        """Yield each prompt, or the error that refuses it.

        Raises InputError where nothing after that place can be read.
        """
        ...


def recognise(source: Input, options: ReadOptions) -> Format:
    """Look at the first line of *source* that is not blank.

    Raises InputError for a file without one, or of a kind that is not read.
    """
    first = next(source.lines(options.max_line_bytes), None)
    if first is None:
        raise InputError(
            problem="there is nothing in it",
            file=source.name,
            line=0,
            value="",
            fix=_ONE_OBJECT_A_LINE,
        )
    _refuse_other_encodings(first)
    value = decode_object(first)
    if openai_batch.is_request(value):
        return OpenAIBatch(options)
    for ours, fields in (("Anthropic", {"custom_id", "params"}), ("Gemini", {"key", "request"})):
        if fields <= value.keys():
            raise first.refused(
                problem=f"these are {ours} batch lines, which are not read yet",
                fix="write them as OpenAI Batch lines; they are answered by any provider",
            )
    return JSONRows(options)


def _refuse_other_encodings(first: Line) -> None:
    if first.raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise first.refused(problem="the file is UTF-16", fix="save it as UTF-8")
    if first.raw.startswith((b"PAR1", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ")):
        raise first.refused(
            problem="the file is binary or packed, not text", fix=_ONE_OBJECT_A_LINE
        )
