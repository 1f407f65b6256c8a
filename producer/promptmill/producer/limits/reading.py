"""The limiter's state, read out of Redis for people and metrics. Nothing here writes.

The keys and numbers are those of `schema.limit_state`; workers change them by scripts.
"""

import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from promptmill.producer.limits.memory import Account, LimitMemory
from promptmill.producer.redis_glance import glance_at, look_at
from promptmill.producer.redis_trouble import trouble_of
from promptmill.schema.errors import ServiceError
from promptmill.schema.limit_level import account_now
from promptmill.schema.limit_state import (
    EPOCH_2025_S,
    SPACE,
    LimitState,
    account_prefix,
    unpack_learned,
    unpack_state,
)
from promptmill.schema.redis_urls import redis_py_url, shown

_SCAN = 1000
"""keys of the whole Redis that one SCAN looks at, below a millisecond of its time"""
_NAMED = re.compile(
    rf"{SPACE}:\{{(?P<provider>.*):(?P<key>[^:}}]*)\}}"
    r":(?P<kind>model|account|leases|learned)"
    r"(?::(?P<name>.*))?",
    re.DOTALL,
)


class LimitReader:
    """Reads the limits in one Redis, in a few commands. Safe to share between threads.

    *for_a_glance*: for one thread only, and without an import of redis-py where that can be.
    """

    def __init__(self, url: str, *, prefix: str, for_a_glance: bool = False) -> None:
        self._prefix, self._shown = prefix, shown(redis_py_url(url))
        self._redis = glance_at(url) if for_a_glance else look_at(url)

    def read(self) -> LimitMemory:
        """Read what there is. Raises ServiceError where Redis does not answer."""
        with self._answering():
            return self._read(self._names())

    def read_only(self, scopes: Iterable[tuple[Account, str]]) -> LimitMemory:
        """Read these and their accounts, by (account, section), without a look at all keys."""
        keys: set[str] = set()
        for account, section in scopes:
            start = account_prefix("", account.provider, account.key)
            keys |= {f"{start}:account", f"{start}:model:{section}"}
        named = {key: _NAMED.fullmatch(key) for key in keys}
        with self._answering():
            return self._read(
                {
                    f"{self._prefix}{key}".encode(): one.groupdict()
                    for key, one in named.items()
                    if one
                }
            )

    def close(self) -> None:
        """Close all connections."""
        self._redis.close()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except self._redis.errors as error:
            msg = f"{self._shown} {trouble_of(error)}"
            raise ServiceError(msg) from None

    def _read(self, names: Mapping[bytes, Mapping[str, str]]) -> LimitMemory:
        keys = [key for key, named in names.items() if named["kind"] != "leases"]
        (seconds, micros), values = self._redis.ask(("TIME",), ("MGET", *(keys or [b""])))
        found = {key: raw for key, raw in zip(keys, values, strict=False) if raw is not None}
        server_us = (int(seconds) - EPOCH_2025_S) * 1e6 + int(micros)
        accounts, scopes, learned = _sorted_out(names, found)
        clocks = {
            account: account_now(accounts.get(account), server_us=server_us)
            for account in (*accounts, *(account for account, _ in scopes))
        }
        return LimitMemory(server_us, accounts, scopes, learned, self._in_flight(clocks))

    def _names(self) -> dict[bytes, Mapping[str, str]]:
        start = len(self._prefix.encode())
        named = (
            (key, _NAMED.fullmatch(key[start:].decode(errors="replace"))) for key in self._keys()
        )
        return {key: match.groupdict() for key, match in named if match}

    def _keys(self) -> Iterator[bytes]:
        ours, cursor = f"{_literal(self._prefix)}{SPACE}:{{*", 0
        while True:
            ((at, found),) = self._redis.ask(("SCAN", cursor, "MATCH", ours, "COUNT", _SCAN))
            yield from found
            cursor = int(at)
            if not cursor:
                return

    def _in_flight(self, clocks: Mapping[Account, float]) -> dict[Account, int]:
        counts = [
            (
                "ZCOUNT",
                f"{account_prefix(self._prefix, account.provider, account.key)}:leases",
                now_us,
                "+inf",
            )
            for account, now_us in clocks.items()
        ]
        return dict(zip(clocks, self._redis.ask(*counts), strict=True))


def _sorted_out(
    names: Mapping[bytes, Mapping[str, str]], found: Mapping[bytes, bytes]
) -> tuple[
    dict[Account, LimitState],
    dict[tuple[Account, str], LimitState],
    dict[tuple[Account, str], tuple[float, ...]],
]:
    accounts, scopes, learned = {}, {}, {}
    for account, kind, name, raw in _in_order(names, found):
        with suppress(struct.error, UnicodeDecodeError):  # another release's
            match kind:
                case "account":
                    accounts[account] = unpack_state(raw)
                case "model":
                    scopes[account, name] = unpack_state(raw)
                case _:
                    learned[account, name] = unpack_learned(raw)
    return accounts, scopes, learned


def _in_order(
    names: Mapping[bytes, Mapping[str, str]], found: Mapping[bytes, bytes]
) -> Iterable[tuple[Account, str, str, bytes]]:
    for key in sorted(found):
        named = names[key]
        account = Account(named["provider"], named["key"])
        yield account, named["kind"], named["name"] or "", found[key]


def _literal(text: str) -> str:
    """Take the special meaning of SCAN's patterns from *text*."""
    return re.sub(r"([*?\[\]\\^])", r"\\\1", text)
