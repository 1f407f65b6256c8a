"""Put words in the place of personal data, and put it back.

    Write to ada@example.com        Write to <EMAIL_1>

Within one prompt the same value has the same word, so that a model can tell two people apart.
"""

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from promptmill.schema.pii.shapes import Finder, Found, find

_WORD: Final = re.compile(r"<[A-Z][A-Z_]{1,40}_A?\d{1,9}>")
_NOT_TEXT: Final = frozenset(
    {"role", "type", "id", "name", "model", "tool_call_id", "tool_use_id", "call_id", "data"}
    | {"file_data", "fileData", "file_id", "mime_type", "mimeType", "media_type", "signature"}
    | {"tools", "response_format", "responseSchema", "responseJsonSchema", "output_config"}
)
"""Fields that no person wrote, whose values mean something to the provider, or stand for bytes."""


_OF_TOOLS: Final = frozenset({"input", "args"})
"""Fields that hold a tool's arguments as an object, whose own fields may have any name."""


class Masker:
    """The words of one prompt, or of one answer: those have a *mark*. *finder* says what goes."""

    def __init__(self, mark: str = "", *, finder: Finder = find) -> None:
        self._mark, self._find = mark, finder
        self._words: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}

    @property
    def values(self) -> dict[str, str]:
        """What each word stands for."""
        return {word: value for (_, value), word in self._words.items()}

    def mask(self, text: str) -> str:
        """Return *text* with words in the place of personal data."""
        found = self._find(text)
        there = set(_WORD.findall(text)) if found and "<" in text else set()
        return _replaced(
            text, [(one, self._word(one.kind, text[one.start : one.end], there)) for one in found]
        )

    def mask_in(self, value: Any, *, kept: AbstractSet[str] = _NOT_TEXT) -> Any:
        """Return a copy of the JSON *value* whose texts are masked, but for the fields *kept*."""
        if isinstance(value, str):
            return value if value.startswith("data:") else self.mask(value)
        if isinstance(value, Mapping):
            return {
                field: item if field in kept else self.mask_in(item, kept=_below(field, item, kept))
                for field, item in value.items()
            }
        if isinstance(value, list):
            return [self.mask_in(item, kept=kept) for item in value]
        return value

    def _word(self, kind: str, value: str, there: AbstractSet[str]) -> str:
        if (kind, value) not in self._words:
            word = ""
            while not word or word in there:  # words that a person wrote stand for nothing
                number = self._counts[kind] = self._counts.get(kind, 0) + 1
                word = f"<{kind}_{self._mark}{number}>"
            self._words[kind, value] = word
        return self._words[kind, value]


def masked(text: str) -> str:
    """Return *text* with `<EMAIL>` and the like in the place of personal data: for good."""
    return _replaced(text, [(one, f"<{one.kind}>") for one in find(text)])


def masked_bytes(raw: bytes) -> bytes:
    """Return *raw*, which may be no text, masked for good."""
    return masked(raw.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def unmask(text: str, values: Mapping[str, str]) -> str:
    """Put back what the words in *text* stand for; a word that is not known stays.

    JSON stays JSON: no value has a quote or a backslash in it.
    """
    return _WORD.sub(lambda found: values.get(found[0], found[0]), text)


def _below(field: str, item: object, kept: AbstractSet[str]) -> AbstractSet[str]:
    return frozenset() if field in _OF_TOOLS and isinstance(item, Mapping) else kept


def _replaced(text: str, found: Sequence[tuple[Found, str]]) -> str:
    parts: list[str] = []
    at = 0
    for one, word in found:
        parts += (text[at : one.start], word)
        at = one.end
    return "".join((*parts, text[at:]))
