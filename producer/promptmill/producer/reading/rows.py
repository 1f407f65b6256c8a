"""Plain rows: named columns, made into a prompt by a template or by a column's name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from promptmill.producer.reading.attachments import Attachments
from promptmill.producer.reading.chat import Request, chat_prompt
from promptmill.producer.reading.columns import choice_of
from promptmill.producer.reading.file_columns import parts_of
from promptmill.producer.reading.lines import Line
from promptmill.producer.reading.options import ReadOptions
from promptmill.producer.reading.prompt import Prompt, check_custom_id
from promptmill.producer.reading.source import Input
from promptmill.producer.reading.strict_json import decode_object
from promptmill.producer.reading.template import compiled
from promptmill.schema.errors import InputError, UsageError

_TEXT_COLUMNS = ("prompt", "text")
_ID_COLUMNS = ("custom_id", "id")
_BODY_FIELDS = frozenset(
    {"messages", "model", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop"}
    | {"seed", "tools", "tool_choice", "parallel_tool_calls", "response_format", "logit_bias"}
    | {"presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "reasoning_effort"}
    | {"n", "stream", "stream_options", "top_k", "cache_control"}
)
"""Of a row with `messages`, what is sent. Its other columns are the user's own."""


class Rows:
    """Makes prompts of rows, whatever file they come from."""

    def __init__(self, options: ReadOptions, *, otherwise: str = "") -> None:
        self._options, self._otherwise = options, otherwise
        self._template = compiled(options.template, name=options.template_name)
        if self._template is not None and self._template.is_constant and not options.file_columns:
            msg = f"the template of {options.template_name} names no column, so that all "
            msg += "prompts would be the same; put a column into it, such as {{ text }}"
            raise UsageError(msg)
        self._system = compiled(options.system, name="-s")

    def prompt(self, line: Line, row: dict[str, Any]) -> Prompt:
        """Make the prompt of *row*. Raises InputError."""
        custom_id = self._custom_id(line, row)
        body = self._body(line, row)
        has_files = bool(self._options.file_columns) and self._add_files(line, row, body)
        request = Request(custom_id, body.pop("model", None), body, has_files=has_files)
        system = None if self._system is None else self._system.render(line, row)
        return chat_prompt(line, request, system=system, options=self._options)

    def _custom_id(self, line: Line, row: dict[str, Any]) -> str:
        column = self._options.id_column
        if column is not None and column not in row:
            raise line.refused(
                problem=f"the column {column!r} of --id-column is not there",
                fix=choice_of(row, column),
            )
        for name in _ID_COLUMNS if column is None else (column,):
            if name in row:
                return check_custom_id(line, row[name], name)
        return f"{line.unit}-{line.number}"

    def _body(self, line: Line, row: dict[str, Any]) -> dict[str, Any]:
        if self._template is not None:
            return _one_message(line, self._template.render(line, row))
        if "messages" in row:
            return {name: value for name, value in row.items() if name in _BODY_FIELDS}
        found = [name for name in _TEXT_COLUMNS if name in row]
        if len(found) != 1:
            why = "both 'prompt' and 'text'" if found else "no 'prompt', 'text' or 'messages'"
            raise line.refused(
                problem=f"the row has {why}, so it is not clear what to ask",
                fix=f"give a template, such as -p '{_suggestion(row)}'{self._otherwise}",
            )
        text = row[found[0]]
        if not isinstance(text, str):
            raise line.refused(problem=f"{found[0]} is not a string", fix="write it in quotes")
        return _one_message(line, text)

    def _add_files(self, line: Line, row: dict[str, Any], body: dict[str, Any]) -> bool:
        """Put what --file-column names behind the text. Tells whether files of ours were read."""
        if "messages" in row and self._template is None:
            raise line.refused(
                problem="the row has messages of its own, and --file-column adds to none",
                fix="write the files as parts of its messages, or leave out --file-column",
            )
        options, message = self._options, body["messages"][0]
        files = Attachments(line, options.folder or Path(), options.max_file_bytes)
        parts = [{"type": "text", "text": message["content"]}]
        parts += parts_of(line, row, options.file_columns, files)
        message["content"] = parts
        return files.taken_bytes > 0


class JSONRows:
    """JSONL with one row a line."""

    described = "JSON lines"
    only_for = None

    def __init__(self, options: ReadOptions) -> None:
        self._options, self._rows = options, Rows(options)

    def prompts(self, source: Input) -> Iterator[Prompt | InputError]:
        for line in source.lines(self._options.max_line_bytes):
            try:
                prompt = self._rows.prompt(line, decode_object(line))
            except InputError as error:
                yield error
            else:
                yield prompt


def _one_message(line: Line, text: str) -> dict[str, Any]:
    if not text or text.isspace():
        raise line.refused(problem="the prompt is empty", fix="fill the row, or take it out")
    return {"messages": [{"role": "user", "content": text}]}


def _suggestion(row: dict[str, Any]) -> str:
    """Write a template that fits *row*, with its longest text."""
    texts = {name: value for name, value in row.items() if isinstance(value, str)}
    column = max(texts, key=lambda name: len(texts[name]), default="text")[:60]
    return f"Sentiment of: {{{{ {column} }}}}" if column.isidentifier() else f"Of: {{{column}}}"
