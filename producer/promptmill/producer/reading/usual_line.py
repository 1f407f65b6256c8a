"""The OpenAI Batch line that nearly every line is, read by the hundred in half the time.

It is described by types, so that msgspec checks it while it reads it. A block that has a line which
does not fit, for whatever reason, is left to `openai_batch`, which says what is wrong with it if
anything is.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from promptmill.producer.reading.chat import MAX_MODEL_CHARACTERS, Role
from promptmill.producer.reading.lines import Block
from promptmill.producer.reading.numbers import (
    INTEGER_MAX,
    WrittenFloat,
    read_float,
    write_float,
)
from promptmill.producer.reading.prompt import MAX_ID_CHARACTERS, Prompt
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
    method: Literal["POST"]
    url: Literal["/v1/chat/completions"]
    body: _Body


_DECODER = msgspec.json.Decoder(_BatchLine, float_hook=read_float)
_ENCODER = msgspec.json.Encoder(enc_hook=write_float)
_FLAT = frozenset({UnsetType, float, WrittenFloat, str, bool, type(None)})
"""types of values that have no level below them, and no size that could be too large"""


def read_usual(block: Block, model: str | None) -> list[Prompt] | None:
    """Make the prompts of a block of usual lines, for *model* if that is given.

    None for a block in which any line is unusual, or blank.
    """
    decode, encode = _DECODER.decode, _ENCODER.encode
    raws = block.raw.removesuffix(b"\n").split(b"\n")
    try:
        found = [decode(raw) for raw in raws]
    except DECODE_ERRORS:
        return None
    bodies, ids = [one.body for one in found], [one.custom_id for one in found]
    named = [body.model for body in bodies]
    if not (_are_plain_ids(ids) and _are_models({*named}) and _are_flat(bodies)):
        return None
    for body in bodies:
        body.model = UNSET
    written = [encode(body) for body in bodies]
    colons = _OUTER_KEYS * len(raws) + sum(text.count(":") for text in ids)
    colons += sum(1 + name.count(":") for name in named if name is not UNSET)
    # Of the block as a whole, since no line can have more colons written than it was read with.
    if not has_colons(block.raw, colons + sum(body.count(b":") for body in written)):
        return None
    asked = [model or (None if name is UNSET else name) for name in named]
    return [*map(Prompt, range(block.first, block.first + len(raws)), ids, written, asked)]


def _are_plain_ids(ids: list[str]) -> bool:
    """Tell whether nothing is to be said about *ids*. The others are looked at one by one."""
    joined = "".join(ids)
    lengths = [*map(len, ids)]
    plain = joined.isascii() and joined.isprintable()
    return plain and min(lengths) > 0 and max(lengths) <= MAX_ID_CHARACTERS


def _are_models(names: set[str | UnsetType]) -> bool:
    return all(
        name is UNSET or (0 < len(name) <= MAX_MODEL_CHARACTERS and name.isprintable())
        for name in names
    )


def _are_flat(bodies: list[_Body]) -> bool:
    kinds = {
        type(value)
        for body in bodies
        for value in (body.seed, body.stop, body.temperature, body.top_p)
    }
    return kinds <= _FLAT or all(
        is_plain((body.seed, body.stop, body.temperature, body.top_p), 1) for body in bodies
    )
