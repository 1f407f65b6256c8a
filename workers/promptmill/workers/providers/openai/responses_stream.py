"""OpenAI's events of a response: the last one holds it whole.

https://platform.openai.com/docs/api-reference/responses-streaming. Until then, what has come is
kept as it would stand in the response.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from promptmill.workers.providers.fold import Streaming, decode_event
from promptmill.workers.providers.growing import Text
from promptmill.workers.providers.openai.faults import error_event
from promptmill.workers.providers.reply import Reply
from promptmill.workers.providers.speech import Verbatim

_LAST: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})


class _TextEvent(msgspec.Struct, gc=False, tag_field="type", tag="response.output_text.delta"):
    """The usual event: more text. Its item's end holds all that it has beside it."""

    delta: str
    output_index: int


_decoder: Final = msgspec.json.Decoder(_TextEvent)


class ResponsesFold:
    """See `Fold`."""

    def __init__(self) -> None:
        self.has_begun = self.is_complete = False
        self.error: Reply | None = None
        self._response: dict[str, Any] = {}
        self._items: dict[int, dict[str, Any]] = {}
        """output items, each as its beginning, or its end, told it"""
        self._texts: dict[int, Text] = {}

    def add(self, data: bytes) -> None:
        try:
            text = _decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._add_event(decode_event(data))
        else:
            self._add_text(text.output_index, text.delta)

    def body(self) -> Mapping[str, Any]:
        if self.is_complete or not self._response:
            return self._response
        output = [self._item(index) for index in sorted(self._items.keys() | self._texts.keys())]
        return {**self._response, "output": output}

    def _add_event(self, event: dict[str, Any]) -> None:
        kind = str(event.get("type"))
        if kind == "error" or "error" in event:
            self.error = error_event(event.get("error") or {**event, "type": None})
        elif isinstance(event.get("response"), dict):
            self._response = event["response"]
            self.is_complete = kind in _LAST
        elif isinstance(event.get("item"), dict):
            self._items[event.get("output_index", 0)] = event["item"]
        elif kind == "response.output_text.delta":
            self._add_text(event.get("output_index", 0), str(event.get("delta")))
        elif kind.endswith(".delta"):
            self.has_begun = True

    def _add_text(self, index: int, text: str) -> None:
        self._texts.setdefault(index, Text()).append(text)
        self.has_begun = True

    def _item(self, index: int) -> dict[str, Any]:
        item = self._items.get(index, {"type": "message", "role": "assistant"})
        if item.get("content") or index not in self._texts:
            return item
        text = "".join(self._texts[index])
        return {**item, "content": [{"type": "output_text", "text": text, "annotations": []}]}


def _ask(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**body, "stream": True}


RESPONSES_STREAMING: Final = Streaming("/responses", ResponsesFold, _ask, Verbatim)
