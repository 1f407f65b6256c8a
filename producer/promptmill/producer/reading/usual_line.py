"""The OpenAI Batch line that nearly every line is, read in half the time.

It is described by types, so that msgspec checks it while it reads it. A line that does not fit,
for whatever reason, is left to `openai_batch`, which says what is wrong with it if anything is.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from promptmill.producer.reading.chat import Role, check_model
from promptmill.producer.reading.lines import Line
from promptmill.producer.reading.numbers import INTEGER_MAX, read_float, write_float
from promptmill.producer.reading.prompt import Prompt, check_custom_id
from promptmill.producer.reading.strict_json import DECODE_ERRORS, has_colons, is_plain

METHOD = "POST"
URL = "/v1/chat/completions"
_OUTER_KEYS = 4

_Tokens = Annotated[int, Meta(ge=1, le=INTEGER_MAX)] | UnsetType


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    content: str
    role: Role


class _Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The fields stand in the order of their names, which makes what is written canonical."""

    max_completion_tokens: _Tokens = UNSET
    max_tokens: _Tokens = UNSET
    messages: Annotated[list[_Message], Meta(min_length=1)]
    model: str | UnsetType = UNSET
    seed: Any = UNSET
    stop: Any = UNSET
    temperature: Any = UNSET
    top_p: Any = UNSET


class _BatchLine(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    custom_id: str
    method: str
    url: str
    body: _Body


_DECODER = msgspec.json.Decoder(_BatchLine, float_hook=read_float)
_ENCODER = msgspec.json.Encoder(enc_hook=write_float)


def read_usual(line: Line, model: str | None) -> Prompt | None:
    """Make the prompt of a usual *line*, for *model* if that is given; None for any other line.

    Raises InputError for a custom_id or model that cannot be used.
    """
    try:
        found = _DECODER.decode(line.raw)
    except DECODE_ERRORS:
        return None
    body, named, colons = found.body, found.body.model, _OUTER_KEYS + found.custom_id.count(":")
    if named is UNSET:
        asked = None
    else:
        asked, body.model = check_model(line, named), UNSET
        colons += 1 + named.count(":")
    written = _ENCODER.encode(body)
    if (
        found.method != METHOD
        or found.url != URL
        or not has_colons(line.raw, colons + written.count(b":"))
        or not is_plain((body.seed, body.stop, body.temperature, body.top_p), 1)
    ):
        return None
    custom_id = check_custom_id(line, found.custom_id)
    return Prompt(line.number, custom_id, written, model or asked)
