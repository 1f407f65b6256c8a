"""OpenAI's chunks of a chat completion, folded to the completion.

https://platform.openai.com/docs/api-reference/chat-streaming. What this file does not know of a
chunk is kept as `growing` says.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from promptmill.workers.providers.fold import Streaming, decode_event
from promptmill.workers.providers.growing import Text, grow, grown
from promptmill.workers.providers.openai.faults import error_event
from promptmill.workers.providers.reply import Reply
from promptmill.workers.providers.speech import Verbatim

_DONE: Final = b"[DONE]"


class _Delta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    content: str
    role: str | None = None
    refusal: None = None
    reasoning_content: None = None
    tool_calls: None = None


class _Choice(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    delta: _Delta
    index: int = 0
    finish_reason: None = None
    logprobs: None = None


class _TextChunk(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The usual chunk: more text of one choice, and nothing else that is new."""

    choices: tuple[_Choice]
    id: str = ""
    object: str = ""
    created: int = 0
    model: str = ""
    service_tier: str | None = None
    system_fingerprint: str | None = None
    obfuscation: str = ""
    usage: None = None


_decoder: Final = msgspec.json.Decoder(_TextChunk)


class ChatFold:
    """See `Fold`."""

    def __init__(self) -> None:
        self.has_begun = self.is_complete = False
        self.error: Reply | None = None
        self._completion: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._texts: dict[int, Text] = {}
        """the contents of the messages in `_choices`"""
        self._is_usual = False
        """Whether the next chunk is tried the short way, a quarter of the long one's CPU."""

    def add(self, data: bytes) -> None:
        if self._is_usual and self._add_text(data):
            return
        if data != _DONE:
            self._add_chunk(decode_event(data))

    def body(self) -> Mapping[str, Any]:
        if not self._completion:
            return {}
        choices = [_choice(self._choices[index]) for index in sorted(self._choices)]
        return {**self._completion, "choices": choices}

    def _add_text(self, data: bytes) -> bool:
        try:
            choice = _decoder.decode(data).choices[0]
        except (msgspec.MsgspecError, UnicodeDecodeError):
            choice = None
        texts = self._texts.get(choice.index) if choice else None
        if choice is None or texts is None:
            self._is_usual = False
            return False
        texts.append(choice.delta.content)
        self.has_begun = self.has_begun or bool(choice.delta.content)
        return True

    def _add_chunk(self, chunk: dict[str, Any]) -> None:
        if chunk.get("error"):
            self.error = error_event(chunk["error"])
            return
        choices = chunk.pop("choices", None) or ()
        chunk.pop("obfuscation", None)
        chunk["object"] = "chat.completion"
        # Usage is told by the last chunk, or by each, of all that has come.
        self._completion |= {name: value for name, value in chunk.items() if value is not None}
        for choice in choices:
            self._add_choice(choice)
        self._is_usual = not self.is_complete

    def _add_choice(self, piece: dict[str, Any]) -> None:
        index = piece.get("index") or 0
        if index not in self._choices:
            self._texts[index] = Text()
            message = {"role": "assistant", "content": self._texts[index]}
            self._choices[index] = {"index": index, "message": message}
        choice = self._choices[index]
        delta = piece.pop("delta", None) or {}
        grow(choice["message"], delta)
        grow(choice, {"logprobs": piece.pop("logprobs", None)})
        choice |= {name: value for name, value in piece.items() if value is not None}
        self.has_begun = self.has_begun or any(delta[name] for name in delta.keys() - {"role"})
        self.is_complete = self.is_complete or bool(piece.get("finish_reason"))


def _choice(gathered: dict[str, Any]) -> dict[str, Any]:
    choice: dict[str, Any] = {"finish_reason": None, **grown(gathered)}
    message = choice["message"]
    message["content"] = message["content"] or None
    return choice


def _ask(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**body, "stream": True, "stream_options": {"include_usage": True}}


CHAT_STREAMING: Final = Streaming("/chat/completions", ChatFold, _ask, Verbatim)
