"""Whole answers with something wrong in them, as rules for the simulator."""

import json
from typing import Any

Rule = dict[str, Any]


def chat(content: object = "an answer", **changes: object) -> Rule:
    """Make a rule that answers with a chat completion of *content*, and *changes* at its top."""
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": content},
    }
    usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [choice],
        "usage": usage,
    }
    return {"kind": "raw", "body": json.dumps(body | changes)}


def counted(**usage: object) -> Rule:
    """Make a rule that answers well and tells *usage*."""
    return chat(usage=usage)


UNSTORABLE: dict[str, Rule] = {
    "a NUL": {"kind": "nul"},
    "half of a surrogate pair": {"kind": "surrogate"},
    "2^63 tokens": counted(prompt_tokens=2**63, completion_tokens=2**63, total_tokens=2**64),
    "a NUL in every text": chat("a\0b", id="id\0", model="gpt\0"),
    "ten megabytes": chat("word " * 2_000_000),
}
"""answers that are good, and that SQL refuses as they are"""

GARBLED: dict[str, Rule] = {
    "a web page": {"kind": "html"},
    "nothing": {"kind": "empty"},
    "an empty object": {"kind": "empty_object"},
    "half of the JSON": {"kind": "truncated"},
    "a list": {"kind": "raw", "body": "[]"},
    "null": {"kind": "raw", "body": "null"},
    "a text": {"kind": "raw", "body": '"ok"'},
    "NaN": {"kind": "raw", "body": "NaN"},
    "no choice": chat(choices=[]),
    "choices of null": chat(choices=None),
    "a choice that is a number": chat(choices=[7]),
    "no message": chat(choices=[{"index": 0, "finish_reason": "stop"}]),
    "content that is a number": chat(17),
    "no usage": chat(usage=None),
    "negative tokens": counted(prompt_tokens=-5, completion_tokens=-5, total_tokens=-10),
    "tokens in words": counted(prompt_tokens="many", completion_tokens={}, total_tokens=[]),
    "tokens that are NaN": counted(prompt_tokens=float("nan"), completion_tokens=float("inf")),
    "nested 100,000 deep": {"kind": "raw", "body": "[" * 100_000},
}
"""answers that nobody can use, or only in part"""
