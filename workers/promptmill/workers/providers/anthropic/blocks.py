"""Turns of a chat as Anthropic's content blocks (https://docs.claude.com/en/api/messages)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, assert_never

from promptmill.workers.providers.chat import (
    Address,
    Inline,
    Mark,
    Media,
    MediaKind,
    Part,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    UnsendableError,
    Uploaded,
    plain,
)

_TAKEN: Final[Mapping[MediaKind, tuple[str, frozenset[str]]]] = {
    MediaKind.IMAGE: (
        "image",
        frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"}),
    ),
    MediaKind.DOCUMENT: ("document", frozenset({"application/pdf"})),
}
"""The block of a kind, and what it may hold."""


def message_of(turn: Turn) -> dict[str, Any]:
    """Say one turn. Raises UnsendableError."""
    text = plain(turn.parts)
    return {"role": turn.role, "content": blocks_of(turn.parts) if text is None else text}


def blocks_of(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Say *parts*, each a block. Raises UnsendableError."""
    # An empty text is refused there, and beside calls it says nothing.
    return [_block(part) for part in parts if not isinstance(part, Text) or part.text]


def _block(part: Part) -> dict[str, Any]:
    match part:
        case Text(text=text, mark=mark):
            return marked({"type": "text", "text": text}, mark)
        case Media():
            return _media(part)
        case ToolCall():
            return {
                "type": "tool_use",
                "id": part.id,
                "name": part.name,
                "input": part.arguments,
            }
        case ToolResult():
            joined = plain(part.parts)
            content = blocks_of(part.parts) if joined is None else joined
            block = {"type": "tool_result", "tool_use_id": part.call_id, "content": content}
            return marked(block, part.mark)
        case _:
            assert_never(part)


def marked(block: dict[str, Any], mark: Mark) -> dict[str, Any]:
    """Put *mark* on *block*, where there is one."""
    return block if mark is None else block | {"cache_control": mark}


def _media(media: Media) -> dict[str, Any]:
    if media.kind not in _TAKEN:
        problem = f"Anthropic takes images and PDF documents, not {media.kind}"
        raise UnsendableError(field=media.where, problem=problem)
    block, types = _TAKEN[media.kind]
    source: dict[str, Any]
    match media.source:
        case Inline(media_type=media_type, data=data):
            if media_type not in types:
                problem = f"Anthropic takes {media.kind} of {', '.join(sorted(types))} only"
                raise UnsendableError(field=media.where, problem=problem)
            source = {"type": "base64", "media_type": media_type, "data": data}
        case Address(url=url):
            source = {"type": "url", "url": url}
        case Uploaded(file_id=file_id):
            source = {"type": "file", "file_id": file_id}
        case _:
            assert_never(media.source)
    return marked({"type": block, "source": source}, media.mark)
