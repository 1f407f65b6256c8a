"""Lines of OpenAI's Batch files: `custom_id`, `method`, `url`, `body`.

Source: BatchRequestInput in OpenAI's API description. The same lines are taken by Azure, Groq,
Together, xAI, vLLM and others. `method` and `url` may be left out: only one value is possible.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from promptmill.producer.reading.chat import chat_prompt
from promptmill.producer.reading.lines import Line
from promptmill.producer.reading.numbers import read_float, write_float
from promptmill.producer.reading.options import ReadOptions
from promptmill.producer.reading.prompt import Prompt, check_custom_id
from promptmill.producer.reading.source import Input
from promptmill.producer.reading.strict_json import DECODE_ERRORS, decode_exactly, is_proven
from promptmill.producer.reading.template import Template
from promptmill.schema.errors import InputError, UsageError

METHOD = "POST"
URL = "/v1/chat/completions"
_FIELDS = frozenset({"custom_id", "method", "url", "body"})
_FIX = 'write {"custom_id": "...", "method": "POST", "url": "' + URL + '", "body": {...}}'


class _Request(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    custom_id: str
    body: dict[str, Any]
    method: str = ""
    url: str = ""


_DECODER = msgspec.json.Decoder(_Request, float_hook=read_float)
_ENCODER = msgspec.json.Encoder(enc_hook=write_float)


def is_request(value: dict[str, Any]) -> bool:
    """Tell whether the first object of a file makes it an OpenAI Batch file."""
    return "custom_id" in value and ("body" in value or "url" in value)


class OpenAIBatch:
    """JSONL with one request a line."""

    def __init__(self, options: ReadOptions) -> None:
        if options.template is not None:
            msg = "-p and -t are for plain rows; these OpenAI Batch lines have their own messages"
            raise UsageError(msg)
        if options.id_column is not None:
            msg = "--id-column is for plain rows; OpenAI Batch lines have their custom_id"
            raise UsageError(msg)
        self._options = options
        self._system = None if options.system is None else Template(options.system, name="-s")

    def prompts(self, source: Input) -> Iterator[Prompt | InputError]:
        for line in source.lines(self._options.max_line_bytes):
            try:
                prompt = self._prompt(line)
            except InputError as error:
                yield error
            else:
                yield prompt

    def _prompt(self, line: Line) -> Prompt:
        request = _decode(line)
        if request.method not in ("", METHOD):
            raise line.refused(problem="method is not POST", fix=_FIX, value=request.method)
        if request.url not in ("", URL):
            raise line.refused(
                problem=f"url is not {URL}, the only endpoint answered here",
                fix=_FIX,
                value=request.url,
            )
        custom_id = check_custom_id(line, request.custom_id)
        system = None
        if self._system is not None:
            system = self._system.render(line, {"custom_id": custom_id})
        return chat_prompt(line, custom_id, request.body, system=system, options=self._options)


def _decode(line: Line) -> _Request:
    try:
        request = _DECODER.decode(line.raw)
    except DECODE_ERRORS:
        return _decode_exactly(line)
    if is_proven(line.raw, request.body, _ENCODER.encode(request).count(b":")):
        return request
    return _decode_exactly(line)


def _decode_exactly(line: Line) -> _Request:
    value = decode_exactly(line)
    unknown = sorted(value.keys() - _FIELDS)
    if unknown:
        raise line.refused(
            problem=f"an OpenAI Batch line has no field {unknown[0][:60]!r}",
            fix=_FIX,
            value=unknown[0],
        )
    if "custom_id" not in value or "body" not in value:
        raise line.refused(
            problem="the file starts with OpenAI Batch lines, and this line is not one", fix=_FIX
        )
    if not isinstance(value["body"], dict):
        raise line.refused(problem="body is not an object", fix=_FIX)
    custom_id = check_custom_id(line, value["custom_id"])
    method, url = value.get("method", ""), value.get("url", "")
    if not isinstance(method, str) or not isinstance(url, str):
        raise line.refused(problem="method or url is not a string", fix=_FIX)
    return _Request(custom_id, value["body"], method, url)
