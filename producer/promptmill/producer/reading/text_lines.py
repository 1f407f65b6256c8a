"""Text: one prompt a line."""

from collections.abc import Iterator

from promptmill.producer.reading.options import ReadOptions
from promptmill.producer.reading.prompt import Prompt
from promptmill.producer.reading.rows import Rows
from promptmill.producer.reading.source import Input
from promptmill.schema.errors import InputError


class TextLines:
    """Lines, each a row of the one column `text`; blank ones are no prompts."""

    described = "text lines"
    only_for = None

    def __init__(self, options: ReadOptions) -> None:
        self._options, self._rows = options, Rows(options)

    def prompts(self, source: Input) -> Iterator[Prompt | InputError]:
        for line in source.lines(self._options.max_line_bytes):
            text = line.text().removesuffix("\r")
            try:
                prompt = self._rows.prompt(line, {"text": text})
            except InputError as error:
                yield error
            else:
                yield prompt
