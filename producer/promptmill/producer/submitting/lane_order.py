"""How a batch is to be asked, and by when, as people write it: `--lane auto --deadline 30h`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from promptmill.producer.ages import AGE, parse_age
from promptmill.schema.database import Database
from promptmill.schema.errors import UsageError
from promptmill.schema.lanes import Lane
from promptmill.schema.moves.laning import let_go, set_lane
from promptmill.schema.provider_batches import recall
from promptmill.schema.settings import Settings

_CHUNK = 5000


@dataclass(frozen=True, slots=True)
class LaneOrder:
    """What was asked for."""

    lane: Lane = Lane.LIVE
    deadline_s: float | None = None
    """from now; None: none"""


def parse_lane(lane: str, deadline: str | None = None) -> LaneOrder:
    """Read a lane and a deadline: an age from now, or an instant. Raises UsageError."""
    if lane not in list(Lane):
        msg = f"--lane {lane!r} is none: write {', '.join(Lane)}"
        raise UsageError(msg)
    if deadline is None:
        return LaneOrder(Lane(lane))
    if lane == Lane.LIVE:
        msg = "--deadline says which lane is taken, and live is the only one: add --lane auto"
        raise UsageError(msg)
    left_s = _left_s(deadline)
    if left_s <= 0:
        msg = f"--deadline {deadline!r} is over"
        raise UsageError(msg)
    return LaneOrder(Lane(lane), left_s)


def require_batch_api(order: LaneOrder, providers: Iterable[str], settings: Settings) -> None:
    """Raise UsageError where `--lane batch` could only be asked live, at the full price."""
    if order.lane is not Lane.BATCH:
        return
    for name in sorted(providers):
        if name in settings.pools:
            msg = (
                f"{name} is a pool, which is asked live only: leave --lane out, or ask one of its"
                f" members, such as -m {min(settings.pools[name].members)}/MODEL"
            )
            raise UsageError(msg)
        if not settings.providers[name].has_batch_api:
            msg = (
                f"{name} has no batch API that promptmill knows of: leave --lane out, or set"
                f" providers.{name}.batch_api where its server has one"
            )
            raise UsageError(msg)


def change_lane(database: Database, batch_id: int, order: LaneOrder) -> None:
    """Let a batch that is there go so from now on; `live` calls back what is at a provider."""
    with database.write() as connection:
        set_lane(connection, batch_id, order.lane, deadline_s=order.deadline_s)
        if order.lane is not Lane.LIVE:
            return
        recall(connection, batch_id)
    moved = _CHUNK
    while moved == _CHUNK:
        with database.write() as connection:
            moved = let_go(connection, batch_id, most=_CHUNK)


def _left_s(deadline: str) -> float:
    if AGE.fullmatch(deadline):
        return float(parse_age(deadline, "--deadline"))
    try:
        instant = datetime.fromisoformat(deadline)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        msg = f"--deadline {deadline!r} is none: write 30h, 2d or 2026-12-24T18:00Z, with its zone"
        raise UsageError(msg)
    return (instant - datetime.now(UTC)).total_seconds()
