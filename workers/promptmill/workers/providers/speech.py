"""What a listener is told of a stream, event by event: of a chat always in OpenAI's words.

Told are the words and the calls of tools. How an answer ended, and what it used, is told by who has
stored it.
"""

from collections.abc import Iterable
from typing import Any, Final

from promptmill.workers.providers.fold import decode_event
from promptmill.workers.providers.listener import Piece

_NO_EVENT: Final = b"["
"""Begin of `[DONE]`."""


class Verbatim:
    """Says each event as it came. See `Speech`."""

    def say(self, data: bytes) -> Iterable[Piece]:
        return () if data.startswith(_NO_EVENT) else (decode_event(data),)


class Chunks:
    """Makes chunks of a chat completion."""

    def __init__(self) -> None:
        self.head: dict[str, Any] = {}
        """`id` and `model`, once they are known"""
        self.calls = 0
        """of tools, so far"""
        self._has_begun = False

    def text(self, text: str) -> Piece:
        """Say more text."""
        return self._chunk({"content": text})

    def call(self, asked: Piece) -> Piece:
        """Say that a tool is to be called, as OpenAI writes it; `arguments` may say more of it."""
        index, self.calls = self.calls, self.calls + 1
        return self._chunk({"tool_calls": [{"index": index, **asked}]})

    def arguments(self, written: str) -> Piece:
        """Say more of the arguments of the last call."""
        more = {"index": self.calls - 1, "function": {"arguments": written}}
        return self._chunk({"tool_calls": [more]})

    def _chunk(self, delta: dict[str, Any]) -> Piece:
        if not self._has_begun:
            self._has_begun = True
            delta = {"role": "assistant", **delta}
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        return {**self.head, "object": "chat.completion.chunk", "choices": [choice]}
