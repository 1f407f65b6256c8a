"""Anthropic's events as chunks of a chat completion: of what a model thinks nothing is said."""

from collections.abc import Iterator
from typing import Any

from promptmill.workers.providers.fold import decode_event
from promptmill.workers.providers.listener import Piece
from promptmill.workers.providers.speech import Chunks


class MessageSpeech:
    """See `Speech`."""

    def __init__(self) -> None:
        self._chunks = Chunks()
        self._tool: int | None = None
        """index of the block that is a call of a tool, as long as nothing was said of its input"""
        self._tools: set[int] = set()

    def say(self, data: bytes) -> Iterator[Piece]:
        event = decode_event(data)
        match event.get("type"):
            case "message_start":
                message = event["message"]
                self._chunks.head = {"id": message.get("id"), "model": message.get("model")}
            case "content_block_start":
                yield from self._begin(event["index"], event["content_block"])
            case "content_block_delta":
                yield from self._go_on(event["index"], event["delta"])
            case "content_block_stop" if self._tool == event["index"]:
                self._tool = None
                yield self._chunks.arguments("{}")
            case _:
                """A ping, or what is known of the end."""

    def _begin(self, index: int, block: dict[str, Any]) -> Iterator[Piece]:
        if block["type"] == "tool_use":
            self._tool = index
            self._tools.add(index)
            function = {"name": block.get("name"), "arguments": ""}
            asked = {"id": block.get("id"), "type": "function", "function": function}
            yield self._chunks.call(asked)
        elif block["type"] == "text" and block.get("text"):
            yield self._chunks.text(block["text"])

    def _go_on(self, index: int, delta: dict[str, Any]) -> Iterator[Piece]:
        if delta["type"] == "text_delta":
            yield self._chunks.text(delta["text"])
        elif delta["type"] == "input_json_delta" and delta["partial_json"] and index in self._tools:
            self._tool = None
            yield self._chunks.arguments(delta["partial_json"])
