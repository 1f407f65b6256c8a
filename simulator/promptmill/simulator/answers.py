"""What the stand-in model says: a function of the prompt, so that runs can be compared."""

import hashlib
import re
from typing import Any, NamedTuple

import msgspec

from promptmill.simulator.shapes import PLAIN, Wish, fitting

_SAYING = (
    "the mill turns while grain falls slowly between two stones and flour gathers below "
    "a river keeps its wheel in motion so every prompt becomes an answer in good time "
)
_STARTS = [0, *(found.end() for found in re.finditer(" ", _SAYING[:-1]))]
_MARKER = re.compile(r"\[\[([^\[\]]{1,120})\]\]")


class Answer(NamedTuple):
    """A produced text and what it weighs."""

    text: str
    input_tokens: int
    output_tokens: int
    thinking_tokens: int
    """reasoning, apart from `output_tokens`"""
    is_cut: bool
    """the request's maximum was reached"""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    """tools to be called, each with its arguments; then there is no text"""


def count_tokens(text: str) -> int:
    """Estimate tokens as UTF-8 bytes / 4, rounded up, at least 1."""
    return max(1, (len(text.encode("utf-8", "surrogatepass")) + 3) // 4)


def digest(text: str) -> bytes:
    """Return the SHA-256 of *text*."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def find_marker(text: str) -> str:
    """Return what stands between the first [[ and ]], or ""."""
    if "[[" not in text:
        return ""
    found = _MARKER.search(text)
    return found[1] if found else ""


def answer_to(
    text: str, sha256: bytes, *, tokens: int | None, max_tokens: int | None, thinks: bool
) -> Answer:
    """Answer *text* with its digest and some words, *tokens* long or as its digest chooses.

    A model that *thinks* does so for two prompts of three. Thinking counts towards *max_tokens*.
    """
    wanted = tokens if tokens is not None else 12 + sha256[0] % 32
    allowed = wanted if max_tokens is None else max(1, min(wanted, max_tokens))
    thinking = 8 + sha256[1] % 64 if thinks and sha256[2] % 3 else 0
    if max_tokens is not None:
        thinking = min(thinking, max(0, max_tokens - allowed))
    return Answer(
        _speak(sha256, allowed), count_tokens(text), allowed, thinking, is_cut=allowed < wanted
    )


def shaped(answer: Answer, wish: Wish, sha256: bytes, *, max_tokens: int | None) -> Answer:
    """Give *answer* the shape that is wished for, if one is. JSON is cut where it is too long."""
    if wish is PLAIN:
        return answer
    if wish.tools:
        calls = tuple((tool.name, dict(fitting(tool.parameters, sha256))) for tool in wish.tools)
        tokens = count_tokens(msgspec.json.encode(calls).decode())
        return answer._replace(text="", calls=calls, output_tokens=tokens, is_cut=False)
    if wish.schema is None:
        return answer
    text = msgspec.json.encode(fitting(wish.schema, sha256)).decode()
    whole = count_tokens(text)
    tokens = whole if max_tokens is None else max(1, min(whole, max_tokens))
    is_cut = tokens < whole
    return answer._replace(
        text=text[: tokens * 4] if is_cut else text, output_tokens=tokens, is_cut=is_cut
    )


def pieces(text: str, tokens: int) -> list[str]:
    """Cut *text* into pieces of so many tokens, as it is streamed."""
    length = tokens * 4
    return [text[at : at + length] for at in range(0, len(text), length)]


def weighing(text: str, output_tokens: int) -> Answer:
    """Answer *text* with something else than words."""
    return Answer("", count_tokens(text), output_tokens, 0, is_cut=False)


def _speak(sha256: bytes, tokens: int) -> str:
    """Return a sentence of exactly *tokens* x 4 ASCII characters."""
    length = tokens * 4 - 1
    start = _STARTS[sha256[3] % len(_STARTS)]
    speech = _SAYING * (length // len(_SAYING) + 2)
    return f"[{sha256[:4].hex()}] {speech[start : start + length]}"[:length] + "."
