"""The answer of generateContent that says no more than an `Answer` holds.

Of any other the whole is kept.
"""

from typing import Annotated, Any

import msgspec


class _Part(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    text: str | None = None
    function_call: Any = None
    thought_signature: Any = None


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    parts: list[_Part] = []
    role: Any = None


class _Candidate(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    content: _Content
    finish_reason: Any = None
    index: Any = None
    avg_logprobs: Any = None
    token_count: Any = None
    safety_ratings: Any = None


class PlainGenerated(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """One candidate of texts and calls of functions."""

    candidates: Annotated[list[_Candidate], msgspec.Meta(max_length=1)]
    usage_metadata: Any = None
    model_version: Any = None
    response_id: Any = None
    create_time: Any = None
    prompt_feedback: Any = None
