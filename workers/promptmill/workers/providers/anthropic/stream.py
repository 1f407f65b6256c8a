"""Anthropic's events of a message, folded to the message.

https://docs.claude.com/en/docs/build-with-claude/streaming. What this file does not know of an
event is kept as `growing` says.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from promptmill.workers.providers.anthropic.faults import error_event
from promptmill.workers.providers.anthropic.speech import MessageSpeech
from promptmill.workers.providers.fold import Streaming, decode_event
from promptmill.workers.providers.growing import Text, grow, grown
from promptmill.workers.providers.reply import Reply

MOST_UNSTREAMED: Final = 128_000 // 6
"""`max_tokens` above which the SDK refuses to wait for a whole answer: at 128,000 tokens an hour it
expects that to take more than ten minutes, and networks drop connections that say nothing."""
MOST_OF_SLOW: Final = 8192
SLOW: Final = frozenset(
    {
        "claude-opus-4-0",
        "claude-opus-4-20250514",
        "claude-4-opus-20250514",
        "claude-opus-4@20250514",
        "claude-opus-4-1@20250805",
        "anthropic.claude-opus-4-20250514-v1:0",
        "anthropic.claude-opus-4-1-20250805-v1:0",
    }
)
"""Models of which it expects less."""


class _Delta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    type: str
    text: str


class _TextEvent(msgspec.Struct, gc=False, tag_field="type", tag="content_block_delta"):
    """The usual event: more text."""

    index: int
    delta: _Delta


_decoder: Final = msgspec.json.Decoder(_TextEvent)


class MessageFold:
    """See `Fold`."""

    def __init__(self) -> None:
        self.has_begun = self.is_complete = False
        self.error: Reply | None = None
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}

    def add(self, data: bytes) -> None:
        try:
            event = _decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._add_event(decode_event(data))
            return
        block = self._blocks.setdefault(event.index, {"type": "text"})
        if isinstance(text := block.get("text"), Text):
            text.append(event.delta.text)
        else:
            grow(block, {"text": event.delta.text})
        self.has_begun = True

    def body(self) -> Mapping[str, Any]:
        if not self._message:
            return {}
        blocks = [_block(self._blocks[index]) for index in sorted(self._blocks)]
        return {**self._message, "content": blocks}

    def _add_event(self, event: dict[str, Any]) -> None:
        match event.get("type"):
            case "message_start":
                self._message = event.get("message") or {}
            case "content_block_start":
                grow(self._block_of(event), event.get("content_block") or {})
            case "content_block_delta":
                self._add_delta(self._block_of(event), event.get("delta") or {})
            case "content_block_stop":
                self.has_begun = True
            case "message_delta":
                self._add_end(event)
            case _ if "error" in event:
                self.error = error_event(event)
            case _:
                """A ping, the stop of the message, or an event that was added since."""

    def _block_of(self, event: Mapping[str, Any]) -> dict[str, Any]:
        return self._blocks.setdefault(event.get("index", 0), {})

    def _add_delta(self, block: dict[str, Any], delta: dict[str, Any]) -> None:
        delta.pop("type", None)
        if (citation := delta.pop("citation", None)) is not None:
            delta["citations"] = [citation]
        grow(block, delta)
        self.has_begun = True

    def _add_end(self, event: dict[str, Any]) -> None:
        """Take what is known at the end only. Usage counts all that came; what it leaves out of the
        bill was told at the beginning.
        """
        told = {name: value for name, value in event.items() if name not in {"type", "delta"}}
        usage = {k: v for k, v in (told.pop("usage", None) or {}).items() if v is not None}
        self._message |= told | (event.get("delta") or {})
        self._message["usage"] = (self._message.get("usage") or {}) | usage
        self.is_complete = self.is_complete or bool(self._message.get("stop_reason"))


def _block(gathered: Mapping[str, Any]) -> dict[str, Any]:
    block: dict[str, Any] = grown(gathered)
    if "partial_json" in block:
        block["input"] = _input(block.pop("partial_json"))
    return block


def _input(written: str) -> Any:
    """Read the input of a tool; as it came where the model was cut off in it."""
    try:
        return json.loads(written) if written else {}
    except ValueError:
        return written


def _ask(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**body, "stream": True}


def _is_needed(body: Mapping[str, Any]) -> bool:
    most = MOST_OF_SLOW if body.get("model") in SLOW else MOST_UNSTREAMED
    allowed = body.get("max_tokens")
    return isinstance(allowed, int) and allowed > most


MESSAGES_STREAMING: Final = Streaming("/v1/messages", MessageFold, _ask, MessageSpeech, _is_needed)
