"""News on its way to somebody: added in the commit that makes it news, sent until it is taken.

    pending -> delivered        its receiver took it
       |  \
       |   -> gone              its receiver wants no more
       v
     failed                     nobody took it for three days

Any of them is pending again when a person says so. One is sent under a lease: a claim raises the
fence, and the end of an attempt must match it.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from promptmill.schema.connection import Connection
from promptmill.schema.instants import known_instant, parse_instant
from promptmill.schema.statement import Statement

_ID = "msg_"


class DeliveryState(StrEnum):
    """Where a delivery is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """News for one address."""

    subject: str
    """number of the batch, or the id of a client's"""
    event: str
    url: str
    body: str
    """JSON"""
    tenant_id: int | None = None
    """whose secret signs it; None: that of the settings"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One that is to be sent now."""

    no: int
    fence: int
    id: str
    subject: str
    tenant_id: int | None
    event: str
    url: str
    body: str
    attempts: int
    """this one counted"""


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One, as people may see it."""

    no: int
    subject: str
    event: str
    url: str
    state: str
    attempts: int
    answer: str | None
    due_at: datetime
    made_at: datetime
    ended_at: datetime | None


_last_word = Statement(
    "select state from webhook_deliveries where url = :url and ended_at is not null"
    " order by ended_at desc, no desc limit 1"
)
_add = Statement(
    """
insert into webhook_deliveries (id, subject, tenant_id, event, url, body, state, due_at, made_at,
  ended_at)
values (:id, :subject, :tenant_id, :event, :url, :body, :state, {now}, {now},
  case when :state = 'pending' then null else {now} end)"""
)
# Of each address one at a time, the oldest first: one that is slow holds up nobody else's. Those
# that took nothing at their last turn come behind all others, and take turns.
_OLDEST_DUE = "min(case when due_at <= {now} and (:subject = '' or subject = :subject) then no end)"
_DUE = f"""
select {_OLDEST_DUE} from webhook_deliveries where state = 'pending' group by url
having {_OLDEST_DUE} is not null and (max(leased_until) is null or max(leased_until) <= {{now}})
order by max(leased_until) is not null, max(leased_until), 1 limit :most"""
_due = Statement(_DUE)
_claim = Statement(
    f"""
update webhook_deliveries set fence = fence + 1, attempts = attempts + 1,
  leased_until = {{after::lease_s}}
where state = 'pending' and (leased_until is null or leased_until <= {{now}}) and no in ({_DUE})
returning no, fence, id, subject, tenant_id, event, url, body, attempts"""
)
_close = Statement(
    """
update webhook_deliveries set state = :state, answer = :answer,
  leased_until = case when :state = 'pending' then {now} end,
  due_at = {after::again_s}, ended_at = case when :state = 'pending' then null else {now} end
where no = :no and fence = :fence and state = 'pending'"""
)
_end_all = Statement(
    """
update webhook_deliveries set state = 'gone', ended_at = {now}
where url = :url and state = 'pending' and (leased_until is null or leased_until <= {now})"""
)
_send_again = Statement(
    """
update webhook_deliveries set state = 'pending', due_at = {now}, ended_at = null, attempts = 0,
  leased_until = null, fence = fence + 1
where no = :no and (leased_until is null or leased_until <= {now})"""
)
_latest = Statement(
    """
select no, subject, event, url, state, attempts, answer, due_at, made_at, ended_at
from webhook_deliveries where :subject = '' or subject = :subject order by no desc limit :most"""
)
_count = Statement("select state, count(*) from webhook_deliveries group by state")
_forget = Statement("delete from webhook_deliveries where ended_at <= {after:-:age_s}")


def add_delivery(connection: Connection, new: NewDelivery) -> None:
    """Have *new* sent. Where its address wanted no more, it is only kept, for a person to see."""
    last = _last_word.fetch(connection, url=new.url)
    gone = bool(last) and last[0][0] == DeliveryState.GONE
    _add.run(
        connection,
        id=_ID + secrets.token_hex(16),
        subject=new.subject,
        tenant_id=new.tenant_id,
        event=new.event,
        url=new.url,
        body=new.body,
        state=DeliveryState.GONE.value if gone else DeliveryState.PENDING.value,
    )


def is_any_due(connection: Connection, *, subject: str = "") -> bool:
    """Tell whether `claim_due` would find something. Writes nothing."""
    return bool(_due.fetch(connection, subject=subject, most=1))


def claim_due(
    connection: Connection, *, lease_s: float, most: int, subject: str = ""
) -> list[Delivery]:
    """Take what is due, one for each address, for *lease_s*; only of *subject*, if it is named."""
    rows = _claim.fetch(connection, lease_s=lease_s, most=most, subject=subject)
    return sorted((Delivery(*row) for row in rows), key=lambda one: one.no)


def close_delivery(
    connection: Connection,
    delivery: Delivery,
    state: DeliveryState,
    *,
    answer: str,
    again_s: float = 0.0,
) -> bool:
    """Write what came of an attempt; pending: it is due again *again_s* from now.

    What is gone takes with it all else that waits for its address. False: the lease was over, and
    another one has taken it.
    """
    closed = _close.run(
        connection,
        no=delivery.no,
        fence=delivery.fence,
        state=state.value,
        answer=answer,
        again_s=again_s,
    )
    if closed and state is DeliveryState.GONE:
        _end_all.run(connection, url=delivery.url)
    return bool(closed)


def send_again(connection: Connection, no: int) -> bool:
    """Have one sent now, whatever became of it. False: there is none, or it is just being sent."""
    return bool(_send_again.run(connection, no=no))


def latest_deliveries(connection: Connection, *, most: int, subject: str = "") -> list[DeliveryRow]:
    """List deliveries, the newest first; only of *subject*, if it is named."""
    found = _latest.fetch(connection, most=most, subject=subject)
    return [_row(row) for row in found]


def count_deliveries(connection: Connection) -> Mapping[DeliveryState, int]:
    """Count them by state."""
    found = {DeliveryState(state): int(count) for state, count in _count.fetch(connection)}
    return {state: found.get(state, 0) for state in DeliveryState}


def forget_deliveries(connection: Connection, *, age_s: float) -> int:
    """Delete those that ended more than *age_s* ago; return how many."""
    return _forget.run(connection, age_s=age_s)


def _row(row: Any) -> DeliveryRow:
    return DeliveryRow(
        *[*row[:7], known_instant(row[7]), known_instant(row[8]), parse_instant(row[9])]
    )
