"""Gemini's chunks as chunks of a chat completion: of what a model thinks nothing is said."""

from collections.abc import Iterator
from typing import Any

from promptmill.workers.providers.fold import decode_event
from promptmill.workers.providers.gemini.calls import call_of
from promptmill.workers.providers.listener import Piece
from promptmill.workers.providers.speech import Chunks


class GenerateSpeech:
    """See `Speech`."""

    def __init__(self) -> None:
        self._chunks = Chunks()

    def say(self, data: bytes) -> Iterator[Piece]:
        event = decode_event(data)
        self._chunks.head = {"id": event.get("responseId"), "model": event.get("modelVersion")}
        for candidate in (event.get("candidates") or ())[:1]:
            for part in (candidate.get("content") or {}).get("parts") or ():
                yield from self._part(part)

    def _part(self, part: dict[str, Any]) -> Iterator[Piece]:
        if part.get("text") and not part.get("thought"):
            yield self._chunks.text(part["text"])
        if (asked := part.get("functionCall")) is not None:
            signature = part.get("thoughtSignature")
            yield self._chunks.call(call_of(self._chunks.calls, asked, signature=signature))
