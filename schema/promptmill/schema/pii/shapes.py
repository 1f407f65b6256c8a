"""What personal data looks like, and what shows that it is.

Each pattern runs in linear time: it begins only where a word does, and all that it repeats is
bounded. Names and postal addresses have no shape, and are not found.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from itertools import chain
from typing import Final, NamedTuple

from promptmill.schema.pii.checksums import IBAN_LENGTHS, is_card, is_iban, is_public_address


class Kind(StrEnum):
    """What is found, and the word that stands for it."""

    KEY = "KEY"
    """of an API, by the shapes that providers give theirs"""
    EMAIL = "EMAIL"
    IBAN = "IBAN"
    CARD = "CARD"
    SSN = "SSN"
    """of the United States"""
    PHONE = "PHONE"
    IP = "IP"


class Found(NamedTuple):
    """Where something stands in a text."""

    start: int
    end: int
    kind: str
    """a `Kind`, or what another finder calls it, in capitals"""


Finder = Callable[[str], list[Found]]
"""finds personal data in a text, from left to right; nothing overlaps"""


KEY: Final = re.compile(
    r"(?<![\w-])(?:"
    r"(?:sk|rk|pk|gsk|xai|hf|r8|tgp|fw|nvapi|pplx|csk)[-_][\w-]{16,200}"  # OpenAI and its like
    r"|AIza[\w-]{30,60}|ya29\.[\w.-]{20,300}"  # Google
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}"  # AWS
    r"|gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_\w{30,255}|glpat-[\w-]{20,80}"
    r"|xox[abeoprs]-[\w-]{10,250}"  # Slack
    r"|eyJ[\w-]{8,2000}\.[\w-]{8,4000}(?:\.[\w-]{8,2000})?"  # JSON web tokens
    r")(?![\w-])"
)
_EMAIL: Final = re.compile(
    r"(?<![\w.+%-])[\w.+%'-]{1,64}@(?:[\w-]{1,63}\.){1,6}[^\W\d_]{2,24}(?![\w@-])"
)
_IBAN: Final = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?=[ A-Z0-9])")
_IBAN_OF: Final = {
    country: re.compile(rf"[A-Z]{{2}}\d{{2}}(?: ?[A-Za-z0-9]){{{length - 4}}}(?![A-Za-z0-9])")
    for country, length in IBAN_LENGTHS.items()
}
_CARD: Final = re.compile(r"(?<![\w.+-])\d(?:[ -]?\d){12,18}(?![\w-]|[.,]\d)")
_SSN: Final = re.compile(
    r"(?<![\w.-])(?!000|666|9)\d{3}([- ])(?!00)\d{2}\1(?!0000)\d{4}(?![\w-]|[.,]\d)"
)
_E164: Final = re.compile(
    r"(?<![\w+.-])(?<!\d )(?:\+|00)[1-9](?:[ ./()-]{0,2}\d){6,14}(?![\w-]|[.,]\d)"
)
_NATIONAL: Final = re.compile(
    r"(?<![\w.+-])(?<!\d )(?:"
    r"(?:1[-. ])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[-. ])[2-9]\d{2}[-. ]\d{4}"  # North America
    r"|0[1-9](?:[ .-]\d{2}){4}"  # France
    r"|(?:\(0[1-9]\d{1,4}\)|0[1-9]\d{1,4})(?:"
    r"(?:[ /]\d{3,4}){2}"  # the United Kingdom
    r"|[ /-]{1,3}\d{3,8}(?:[ -]\d{2,5}){0,2})"  # Germany, Austria, Switzerland
    r")(?![\w-]|[.,/]\d)"
)
_IPV4: Final = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)")
_IPV6: Final = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
_TRIGGERS: Final = re.compile(r"\d[ .:/-]?\d|@|[-_.]\w{8}")
_ESCAPE: Final = re.compile(r"\\[nrtbf]")
_FEWEST_OF_NATIONAL: Final = 9


def find(text: str) -> list[Found]:
    """Find personal data in *text*, from left to right; nothing overlaps."""
    if not _TRIGGERS.search(text):
        return []
    # JSON within a text, as the arguments of tools are: as long as before, and no line runs on.
    looked = _ESCAPE.sub("\n\n", text) if "\\" in text else text
    return first_of(chain.from_iterable(look(looked) for look in _LOOKS), len(text))


def first_of(found: Iterable[Found], size: int) -> list[Found]:
    """Of those that overlap, in a text of *size*, keep the one that comes first in *found*."""
    kept: list[Found] = []
    taken = bytearray(size)
    for new in found:
        if taken.find(1, new.start, new.end) < 0:
            taken[new.start : new.end] = b"\1" * (new.end - new.start)
            kept.append(new)
    return sorted(kept)


def _by(kind: Kind, shape: re.Pattern[str], check: Callable[[str], bool] | None = None) -> "_Look":
    def look(text: str) -> Iterator[Found]:
        for match in shape.finditer(text):
            if check is None or check(match[0]):
                yield Found(match.start(), match.end(), kind)

    return look


def _ibans(text: str) -> Iterator[Found]:
    """Take as many characters as the country says, in groups or not."""
    for match in _IBAN.finditer(text):
        shape = _IBAN_OF.get(match[0][:2])
        whole = shape.match(text, match.start()) if shape else None
        if whole and is_iban(whole[0].replace(" ", "")):
            yield Found(whole.start(), whole.end(), Kind.IBAN)


def _digits(text: str) -> str:
    return "".join(one for one in text if one.isdigit())


_Look = Callable[[str], Iterator[Found]]
# Of two that overlap the first in this order is meant.
_LOOKS: Final[tuple[_Look, ...]] = (
    _by(Kind.KEY, KEY),
    _by(Kind.EMAIL, _EMAIL),
    _ibans,
    _by(Kind.CARD, _CARD, lambda text: is_card(_digits(text))),
    _by(Kind.SSN, _SSN),
    _by(Kind.IP, _IPV4, is_public_address),
    _by(Kind.IP, _IPV6, is_public_address),
    _by(Kind.PHONE, _E164, lambda text: 8 <= len(_digits(text)) <= 17),
    _by(Kind.PHONE, _NATIONAL, lambda text: len(_digits(text)) >= _FEWEST_OF_NATIONAL),
)
