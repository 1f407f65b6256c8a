"""The chat completion that says no more than an `Answer` holds: of any other the whole is kept.

Ids, fingerprints and what vendors send along as null count as nothing.
"""

from typing import Annotated, Any

import msgspec

_Nothing = Annotated[list[Any], msgspec.Meta(max_length=0)] | None


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    role: Any = None
    content: str | None = None
    refusal: str | None = None
    tool_calls: Any = None
    annotations: _Nothing = None
    audio: None = None
    function_call: None = None
    reasoning: None = None
    reasoning_content: None = None


class _Choice(msgspec.Struct, forbid_unknown_fields=True):
    message: _Message
    index: Any = None
    finish_reason: Any = None
    logprobs: None = None
    stop_reason: None = None
    token_ids: None = None


class PlainCompletion(msgspec.Struct, forbid_unknown_fields=True):
    """A chat completion without anything unusual."""

    choices: Annotated[list[_Choice], msgspec.Meta(max_length=1)]
    usage: Any = None
    id: Any = None
    object: Any = None
    created: Any = None
    model: Any = None
    service_tier: Any = None
    system_fingerprint: Any = None
    x_groq: Any = None
    metadata: None = None
    prompt_logprobs: None = None
    prompt_token_ids: None = None
    kv_transfer_params: None = None
