"""The limiter's state in Redis: names of its keys, and how its numbers lie in them.

Workers change it by Lua scripts, which get the places of the numbers from here; producers only
read it. A state is one string: `SIZE` doubles, little endian, and a pause's reason after them.
Times are microseconds since 2025-01-01 on the account's clock (see workers' lua/state.lua): a
double keeps less than 0.01 us of them.
"""

import struct
from collections.abc import Iterable
from zlib import crc32

import msgspec

EPOCH_2025_S = 1_735_689_600
"""2025-01-01, on the clock of Unix."""
DIMENSIONS = ("rpm", "tpm", "itpm", "otpm", "rpd", "tpd")
MINUTES = 4
"""So many of the dimensions are buckets; the others are counts of a day."""

_AT = "at"  # by dimension: when the bucket will be full again, at its rate; a day: what is used
_HOT = (
    "seen",  # when this state was last written
    "last",  # start of the latest booking: starts never go back (FIFO)
    "serial",  # its number
    "queued",  # end of the virtual queue beyond the horizon, in us of work
    "served",  # how far that queue is booked
)
_REST = (
    "epoch",  # account: random name of this life of the store
    "skew",  # account: how far its clock is ahead of the server's, which went back
    "capped",  # account: until when somebody waits for a place in flight
    "limited",  # account: it has limits of its own
    "plan",  # number of the plan: a penalty begins a new one
    "punished",  # when it began
    "pause",  # paused until
    "first",  # start of the first booking of the plan; 0 = there is none yet
    "streak",  # penalties since a call was last accepted
    "hold",  # nothing more is booked until then: one call is tried
    "cut",  # rate multiplier: below 1 after a penalty
    "cut_at",  # when it was that
    "recover",  # how fast it recovers, of the limit a us
    "uncut",  # what it was before the last cut
    "proven",  # share of the limit that was accepted then; 0 = not known
    "accepted",  # decayed sum of accepted work, in us of the limit; in requests while probing
    "accepted_at",
    "accepted_since",
    "probe",  # requests a minute that are tried while no limit is known
    "ceiling",  # what was tried when it was last refused
    "spec",  # which configuration the paces were computed from
    "paced",  # when
)
_BY_DIMENSION = (
    "limit",  # enforced; 0 = none
    "rate",  # permits a us; a day: its number
    "depth",  # permits that a full bucket holds
    "big",  # largest cost of late
    "told",  # limit told by headers
)
HOT = len(DIMENSIONS) + len(_HOT)
"""So many numbers, the first, change with each booking."""
HEAD = HOT + len(_REST)
"""So many tell all of an account that has no limits of its own."""
SIZE = HEAD + len(_BY_DIMENSION) * len(DIMENSIONS)
_STATE = struct.Struct(f"<{SIZE}d")
LEARNED = ("calls", "input_estimated", "input_used", "output_used", "allowed", "allowed_used")
_LEARNED = struct.Struct(f"<{len(LEARNED)}d")
_LAYOUT = crc32(repr((DIMENSIONS, MINUTES, _HOT, _REST, _BY_DIMENSION, LEARNED)).encode())
SPACE = f"limits-{_LAYOUT:08x}"
"""In all keys: releases that lay their numbers otherwise must not read each other's."""


class LimitKeys(msgspec.Struct, frozen=True):
    """Where the state of one scope lies. The braces keep an account in one slot of a cluster."""

    model: str
    account: str
    leases: str
    """zset: booking id -> expiry; those in flight"""
    learned: str


def account_prefix(prefix: str, provider: str, account: str) -> str:
    """Begin of all keys of an account."""
    return f"{prefix}{SPACE}:{{{provider}:{account}}}"


def limit_keys(
    prefix: str, *, provider: str, account: str, shared_by: str, model: str
) -> LimitKeys:
    """Name the keys of *model*, whose limits are those of *shared_by*."""
    start = account_prefix(prefix, provider, account)
    return LimitKeys(
        model=f"{start}:model:{shared_by}",
        account=f"{start}:account",
        leases=f"{start}:leases",
        learned=f"{start}:learned:{model}",
    )


def places() -> dict[str, int]:
    """Give the place of each number of a state as Lua counts, from 1, and the sizes.

    A field by dimension is a base: `state[LIMIT + 2]` is the limit of the second dimension.
    """
    width = len(DIMENSIONS)
    found = {"AT": 0}
    found |= {name.upper(): place for place, name in enumerate(_HOT + _REST, width + 1)}
    found |= {name.upper(): HEAD + i * width for i, name in enumerate(_BY_DIMENSION)}
    days = {"USED": found["AT"], "DAY": found["RATE"]}
    sizes = {"DIMENSIONS": width, "MINUTES": MINUTES, "BYTES": SIZE * 8}
    sizes |= {"HOT": HOT, "HEAD": HEAD, "SIZE": SIZE}
    return found | days | sizes


class LimitState(msgspec.Struct, frozen=True):
    """A state as it lies in Redis."""

    numbers: tuple[float, ...]
    why: str
    """Reason of its pause."""

    def get(self, name: str) -> float:
        """Return one number, by its name in this file."""
        return self.numbers[_PLACES[name.upper()] - 1]

    def by_dimension(self, name: str) -> dict[str, float]:
        """Return a field of all dimensions."""
        base = _PLACES[name.upper()]
        return dict(zip(DIMENSIONS, self.numbers[base : base + len(DIMENSIONS)], strict=True))


_PLACES = places()


def unpack_state(raw: bytes) -> LimitState:
    """Read a state."""
    return LimitState(_STATE.unpack_from(raw), raw[_STATE.size :].decode())


def unpack_learned(raw: bytes | None) -> tuple[float, ...]:
    """Read what was learned: sums in the order of `LEARNED`; nothing learned is all zeros."""
    return _LEARNED.unpack(raw) if raw else (0.0,) * len(LEARNED)


def pack_learned(sums: Iterable[float]) -> bytes:
    """Write what was learned."""
    return _LEARNED.pack(*sums)
