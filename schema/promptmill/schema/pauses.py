"""Stop a provider, a model or a key for all workers, with the reason, for a time or until told."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from promptmill.schema.connection import Connection
from promptmill.schema.instants import known_instant, parse_instant
from promptmill.schema.statement import Statement


class Pause(msgspec.Struct, frozen=True):
    """A pause that holds now."""

    provider: str
    model: str
    """'' for all models"""
    fingerprint: str
    """of the key; '' for all keys, '-' for workers that have none"""
    kind: str
    """an ErrorKind, or `user`"""
    reason: str
    since_at: datetime
    until_at: datetime | None
    """None: until `promptmill resume`"""


_set = Statement(
    """
insert into pauses (provider, model, fingerprint, kind, reason, since_at, until_at)
values (:provider, :model, :fingerprint, :kind, :reason, {now},
  case when :forever = 0 then {after::seconds} end)
on conflict (provider, model, fingerprint) do update set kind = excluded.kind,
  reason = excluded.reason, until_at = excluded.until_at"""
)
_lift = Statement(
    "delete from pauses where provider = :provider"
    " and (:fingerprint = '' or fingerprint = :fingerprint)"
)
_holding = Statement(
    """
select provider, model, fingerprint, kind, reason, since_at, until_at from pauses
where until_at is null or until_at > {now} order by provider, model, fingerprint"""
)
# As a claim looks at it: a day that is used up is that of calls.
_stopping = Statement(
    """
select 1 from pauses where provider = :provider and kind <> 'daily'
  and model in ('', :model) and fingerprint in ('', :fingerprint)
  and (until_at is null or until_at > {now}) limit 1"""
)
_lasting = Statement(
    """
select provider, model, fingerprint, kind, reason, since_at, until_at from pauses
where kind <> 'user' and (until_at is null or until_at >= {after:cast(:seconds as float)})
order by provider, model, fingerprint"""
)


def pause_provider(
    connection: Connection,
    *,
    provider: str,
    kind: str,
    reason: str,
    model: str = "",
    fingerprint: str = "",
    seconds: float | None = None,
) -> None:
    """Pause for *seconds*, or until told."""
    _set.run(
        connection,
        provider=provider,
        model=model,
        fingerprint=fingerprint,
        kind=kind,
        reason=reason,
        forever=int(seconds is None),
        seconds=float(seconds or 0),
    )


def lift_pauses(connection: Connection, *, provider: str, fingerprint: str = "") -> int:
    """End the pauses of a provider, or only those of one key; returns how many."""
    return _lift.run(connection, provider=provider, fingerprint=fingerprint)


def pauses_now(connection: Connection) -> list[Pause]:
    """List the pauses that hold now."""
    return _pauses(_holding.fetch(connection))


def is_stopped(connection: Connection, *, provider: str, fingerprint: str, model: str = "") -> bool:
    """Tell whether nothing of *model* may be sent by this key, or, without one, nothing at all."""
    return bool(
        _stopping.fetch(connection, provider=provider, fingerprint=fingerprint, model=model)
    )


def lasting_pauses(connection: Connection, *, seconds: float) -> list[Pause]:
    """List the pauses that hold for so long from now on, but not what a person has paused."""
    return _pauses(_lasting.fetch(connection, seconds=seconds))


def _pauses(rows: Iterable[Any]) -> list[Pause]:
    return [
        Pause(
            provider, model, fingerprint, kind, reason, known_instant(since), parse_instant(until)
        )
        for provider, model, fingerprint, kind, reason, since, until in rows
    ]
