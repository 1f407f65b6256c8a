"""Gemini's calls of tools, written as OpenAI does."""

from collections.abc import Mapping
from typing import Any

from promptmill.workers.providers.reply import tool_call


def call_of(number: int, asked: Mapping[str, Any], *, signature: Any) -> dict[str, Any]:
    """Write the call with this *number* in an answer, and the *signature* of the thoughts before it
    as Google does.

    https://ai.google.dev/gemini-api/docs/thought-signatures: a turn that is told again without
    it is refused.
    """
    # Older models give no id, and without one no result could name its call.
    call = tool_call(asked.get("id") or f"call_{number}", asked.get("name"), asked.get("args"))
    if signature is not None:
        call["extra_content"] = {"google": {"thought_signature": signature}}
    return call
