"""Lines of OpenAI's Batch files: `custom_id`, `method`, `url`, `body`; here those of chats.

Source: BatchRequestInput in OpenAI's API description. The same lines are taken by Azure, Groq,
Together, xAI, vLLM and others. `method` and `url` may be left out: these are what is left out.
"""

from collections.abc import Iterator
from typing import Any

from promptmill.producer.reading.chat import Request, chat_prompt
from promptmill.producer.reading.lines import Block, Line
from promptmill.producer.reading.openai_native import check_call
from promptmill.producer.reading.options import ReadOptions
from promptmill.producer.reading.prompt import Prompt, check_custom_id
from promptmill.producer.reading.source import Input
from promptmill.producer.reading.strict_json import decode_object
from promptmill.producer.reading.template import compiled
from promptmill.producer.reading.usual_line import URL, read_usual
from promptmill.schema.errors import InputError, UsageError

_FIELDS = frozenset({"custom_id", "method", "url", "body"})
_FIX = 'write {"custom_id": "...", "method": "POST", "url": "' + URL + '", "body": {...}}'


def is_request(value: dict[str, Any]) -> bool:
    """Tell whether the first object of a file makes it an OpenAI Batch file."""
    return "custom_id" in value and ("body" in value or "url" in value)


class OpenAIBatch:
    """JSONL with one request a line."""

    described = "OpenAI Batch lines"
    only_for = None

    def __init__(self, options: ReadOptions) -> None:
        if options.template is not None:
            msg = "-p and -t are for plain rows; these OpenAI Batch lines have their own messages"
            raise UsageError(msg)
        if options.id_column is not None:
            msg = "--id-column is for plain rows; OpenAI Batch lines have their custom_id"
            raise UsageError(msg)
        self._options = options
        self._system = compiled(options.system, name="-s")

    def prompts(self, source: Input) -> Iterator[Prompt | InputError]:
        most = self._options.max_line_bytes
        for block in source.blocks(most):
            usual = self._usual(block) if len(block.raw) <= most else None
            if usual is not None:
                yield from usual
                continue
            for line in block.lines(most):
                try:
                    prompt = self._prompt(line)
                except InputError as error:
                    yield error
                else:
                    yield prompt

    def _usual(self, block: Block) -> list[Prompt] | None:
        if self._system is not None or self._options.parameters:
            return None
        return read_usual(block, self._options.model)

    def _prompt(self, line: Line) -> Prompt:
        if usual := self._usual(Block(line.file, line.number, line.raw)):
            return usual[0]
        request, system = read_request(line), None
        if self._system is not None:
            system = self._system.render(line, {"custom_id": request.custom_id})
        return chat_prompt(line, request, system=system, options=self._options)


def read_request(line: Line) -> Request:
    """Read any line, or raise the InputError that says what is wrong with it."""
    value = decode_object(line)
    unknown = sorted(value.keys() - _FIELDS)
    if unknown:
        raise line.refused(
            problem=f"an OpenAI Batch line has no field {unknown[0][:60]!r}", fix=_FIX
        )
    if not {"custom_id", "body"} <= value.keys():
        raise line.refused(
            problem="the file starts with OpenAI Batch lines, and this line is not one", fix=_FIX
        )
    check_call(line, value, url=URL)
    body = value["body"]
    if not isinstance(body, dict):
        raise line.refused(problem="body is not an object", fix=_FIX)
    return Request(check_custom_id(line, value["custom_id"]), body.pop("model", None), body)
