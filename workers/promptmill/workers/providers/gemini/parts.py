"""Turns of a chat as Gemini's contents (https://ai.google.dev/api/caching#Content)."""

from typing import Any, assert_never

import msgspec

from promptmill.workers.providers.chat import (
    Address,
    Inline,
    Media,
    Part,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    UnsendableError,
    Uploaded,
    plain,
)


def content_of(turn: Turn) -> dict[str, Any]:
    """Say one turn. Raises UnsendableError."""
    role = "model" if turn.role == "assistant" else "user"
    text = plain(turn.parts)
    parts = [_part(part) for part in turn.parts] if text is None else [{"text": text}]
    return {"role": role, "parts": parts}


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text(text=text):  # marks are left out: Gemini caches by itself what begins alike
            return {"text": text}
        case Media():
            return _media(part)
        case ToolCall():
            call = {"id": part.id, "name": part.name, "args": part.arguments}
            signed = {} if part.signature is None else {"thoughtSignature": part.signature}
            return {"functionCall": call, **signed}
        case ToolResult():
            response = {"id": part.call_id, "name": part.name, "response": _response(part)}
            return {"functionResponse": response}
        case _:
            assert_never(part)


def _response(result: ToolResult) -> dict[str, Any]:
    """Say what came of a call as the object that Gemini wants: as it is, or as its output."""
    text = plain(tuple(part for part in result.parts if isinstance(part, Text)))
    for part in result.parts:
        if isinstance(part, Media):
            problem = "Gemini takes text only as the result of a tool"
            raise UnsendableError(field=part.where, problem=problem)
    try:
        found: dict[str, Any] = msgspec.json.decode(text or "", type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return {"output": text or ""}
    return found


def _media(media: Media) -> dict[str, Any]:
    match media.source:
        case Inline(media_type=media_type, data=data):
            return {"inlineData": {"mimeType": media_type, "data": data}}
        case Address(url=url, media_type=media_type):
            told = {} if media_type is None else {"mimeType": media_type}
            return {"fileData": {"fileUri": url, **told}}
        case Uploaded():
            problem = "Gemini names its files by their address: give that as file_url"
            raise UnsendableError(field=media.where, problem=problem)
        case _:
            assert_never(media.source)
