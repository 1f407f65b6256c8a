"""Texts whose personal data is known, and texts that only look as if they had any."""

from collections.abc import Callable, Iterator
from random import Random

from promptmill.schema.pii.checksums import is_card, is_iban
from promptmill.schema.pii.shapes import Kind

Labelled = tuple[str, list[tuple[Kind, str]]]

_SENTENCES = (
    "Please write to {} before Friday.",
    "Kontakt: {}; danke!",
    'He said: "{}".',
    "- {}\n- nothing else",
    "({})",
    "Order 48213 of 2026-11-28 at 12:30 was paid by {}, as agreed.",
)
_NAMES = ("ada", "grace.hopper", "j_doe", "o'brien", "li-wei", "ops+alerts", "m.müller")
_HOSTS = ("example.com", "mail.example.co.uk", "uni-köln.example.de", "a.b-c.example.io")
_NUMBERS: dict[Kind, tuple[str, ...]] = {
    Kind.SSN: ("5{}-{}-12{}", "1{} {} 34{}"),
    Kind.PHONE: (
        *("+1 212 555 01{}", "+44 20 7946 09{}", "+4930901820{}", "+33 1 23 45 67 {}"),
        *("(415) 555-01{}", "415-555-01{}", "415.555.01{}", "1-415-555-01{}"),
        *("01 23 45 67 {}", "020 7946 09{}", "030/9018{}0", "0171 23456{}", "0043 1 58858{}"),
    ),
    Kind.IP: ("8.8.4.{}", "93.184.216.{}", "2001:4860:4860::88{}"),
    Kind.KEY: (
        *("sk-proj-Ab3dEf6hIj9lMn2p{}", "sk-ant-api03-Qw4rTy7uIo0pAs3d{}"),
        *("AKIAIOSFODNN7EXAMP{}", "ghp_16C7e42F292c6912E7710c838347Ae1784{}"),
        "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFM{}",
    ),
}
_NEAR = (
    *("order no. 4539 5787 6362 14{}", "SKU 8412-9931-{}", "ISBN 978-3-16-1484{}-0"),
    *("version 10.4.22.{}1234", "build 1.2.3.4.{}", "10.20.30.{}", "192.168.7.{}"),
    *("2026-11-{} 12:30:45", "12:30:45.{}", "1,234,567.{}", "48.8566{}, 2.3522{}"),
    *("commit 9fceb02d0ae598e95dc970b74767f19372d61a{}", "DE00 3704 0044 0532 0130 {}"),
    *("user@localhost{}", "@handle_{}", "pages 100-2{}", "room 0{}-114", "sk-{}", "66{}1-99-0000"),
)
HARD: tuple[Labelled, ...] = (
    ("write to ada at example dot com", [(Kind.EMAIL, "ada at example dot com")]),
    ("four one one one, then zeros", [(Kind.CARD, "four one one one")]),
    ("call 4155550132 now", [(Kind.PHONE, "4155550132")]),
    ("ring me on 5550132", [(Kind.PHONE, "5550132")]),
    ("SSN 078051120", [(Kind.SSN, "078051120")]),
    ("my key is hunter2hunter2", [(Kind.KEY, "hunter2hunter2")]),
)
"""What nobody could tell from other words and numbers by its shape: it is missed."""


def labelled(*, seed: int, of_each: int) -> Iterator[Labelled]:
    """Yield *of_each* texts of each kind, and as many with nothing in them."""
    rng = Random(seed)
    for kind, make in _MAKERS.items():
        for _ in range(of_each):
            value = make(rng)
            yield rng.choice(_SENTENCES).format(value), [(kind, value)]
    for _ in range(of_each * len(_MAKERS)):
        near = rng.choice(_NEAR)
        yield rng.choice(_SENTENCES).format(near.format(*_two(rng, 4))), []


def _two(rng: Random, count: int) -> list[str]:
    return [f"{rng.randint(10, 99)}" for _ in range(count)]


def _by_pattern(kind: Kind) -> Callable[[Random], str]:
    return lambda rng: rng.choice(_NUMBERS[kind]).format(*_two(rng, 4))


def _email(rng: Random) -> str:
    return f"{rng.choice(_NAMES)}@{rng.choice(_HOSTS)}"


def _card(rng: Random) -> str:
    begin, length = rng.choice((("4", 16), ("55", 16), ("2221", 16), ("37", 15), ("6011", 16)))
    digits = begin + "".join(str(rng.randint(0, 9)) for _ in range(length - 1 - len(begin)))
    whole = next(f"{digits}{one}" for one in range(10) if is_card(f"{digits}{one}"))
    between = rng.choice(("", " ", "-"))
    return between.join(whole[at : at + 4] for at in range(0, length, 4))


def _iban(rng: Random) -> str:
    country, account = rng.choice((("DE", "18"), ("GB", "WEST14"), ("NL", "ABNA10")))
    letters, count = account[:-2], int(account[-2:])
    inner = letters + "".join(str(rng.randint(0, 9)) for _ in range(count))
    whole = next(
        f"{country}{check:02}{inner}"
        for check in range(2, 99)
        if is_iban(f"{country}{check:02}{inner}")
    )
    return (
        " ".join(whole[at : at + 4] for at in range(0, len(whole), 4)) if inner[-1] < "5" else whole
    )


_MAKERS: dict[Kind, Callable[[Random], str]] = {
    Kind.EMAIL: _email,
    Kind.CARD: _card,
    Kind.IBAN: _iban,
    **{kind: _by_pattern(kind) for kind in _NUMBERS},
}
