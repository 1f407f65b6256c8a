"""Gemini's chunks of a generated answer, folded to the answer.

https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent. Each chunk is an
answer of its own, with the parts that are new; of all else the last chunk holds.
"""

from collections.abc import Mapping
from typing import Any, Final

from promptmill.workers.providers.fold import Streaming, decode_event
from promptmill.workers.providers.gemini.faults import error_event
from promptmill.workers.providers.gemini.speech import GenerateSpeech
from promptmill.workers.providers.growing import Text, grown
from promptmill.workers.providers.reply import Reply

_ALIKE: Final = frozenset({"text", "thought"})
"""A part that has no more than these is joined to one before it that is as it is."""


class GenerateFold:
    """See `Fold`."""

    def __init__(self) -> None:
        self.has_begun = self.is_complete = False
        self.error: Reply | None = None
        self._answer: dict[str, Any] = {}
        self._candidates: dict[int, dict[str, Any]] = {}

    def add(self, data: bytes) -> None:
        chunk = decode_event(data)
        if "error" in chunk:
            self.error = error_event(chunk)
            return
        candidates = chunk.pop("candidates", None) or ()
        self._answer |= chunk
        for candidate in candidates:
            self._add_candidate(candidate)
        blocked = (chunk.get("promptFeedback") or {}).get("blockReason")
        self.is_complete = self.is_complete or bool(blocked)

    def body(self) -> Mapping[str, Any]:
        if not self._answer and not self._candidates:
            return {}
        candidates = [grown(self._candidates[index]) for index in sorted(self._candidates)]
        return {**self._answer, **({"candidates": candidates} if candidates else {})}

    def _add_candidate(self, piece: dict[str, Any]) -> None:
        known = self._candidates.setdefault(piece.get("index", 0), {})
        content = piece.pop("content", None) or {}
        parts = content.pop("parts", None) or ()
        known |= piece
        if content or parts:
            whole = known.setdefault("content", {"parts": []})
            whole |= content
            for part in parts:
                _add_part(whole["parts"], part)
        self.has_begun = self.has_begun or bool(parts)
        self.is_complete = self.is_complete or bool(known.get("finishReason"))


def _add_part(parts: list[dict[str, Any]], part: dict[str, Any]) -> None:
    if not isinstance(text := part.get("text"), str) or part.keys() - _ALIKE:
        parts.append(part)
        return
    last = parts[-1] if parts else {}
    if last.keys() == part.keys() and last.get("thought") == part.get("thought"):
        last["text"].append(text)
    else:
        parts.append({**part, "text": Text([text])})


def _ask(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return body


GENERATE_STREAMING: Final = Streaming(
    "streamGenerateContent?alt=sse", GenerateFold, _ask, GenerateSpeech
)
