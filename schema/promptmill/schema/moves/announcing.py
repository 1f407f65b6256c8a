"""Announce what became of a batch: a delivery for each address that is to hear of it.

The mark on the batch and its deliveries are one commit, so nothing is announced twice or left out,
whoever looks and however often. A replay takes the mark away: the batch ends once more.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from promptmill.schema.connection import Connection
from promptmill.schema.instants import iso, known_instant
from promptmill.schema.news import UNANNOUNCED, News
from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.statement import Statement
from promptmill.schema.states import JobState
from promptmill.schema.webhook_deliveries import NewDelivery, add_delivery

_LONGEST_REASON = 100


@dataclass(frozen=True, slots=True)
class Found:
    """A batch that there is news of."""

    batch_id: int
    news: News
    before: str
    """what was announced last"""


class BatchData(msgspec.Struct, frozen=True):
    """What is told of a batch: neither prompts nor answers."""

    batch: int
    name: str
    state: str
    total: int
    succeeded: int
    failed: int
    cancelled: int
    cost_usd: float | None
    """None: some price is not known"""
    reason: str | None
    """of a pause, in its first words"""


class BatchEvent(msgspec.Struct, frozen=True):
    """The body that is sent."""

    type: str
    timestamp: str
    data: BatchData


_WORDS = {News.COMPLETED: "ended", News.CANCELLED: "cancelled", News.PAUSED: "paused"}
"""states as `promptmill ls` has them"""
_NEWS = """
case when not exists (select 1 from batch_counts c where c.batch_id = batches.id and c.state < 4
    and c.jobs > 0)
  then case when state = 'cancelled' then 'cancelled' else 'completed' end
when state = 'paused' then 'paused' else '' end"""
_news = Statement(
    f"""
select id, {_NEWS}, coalesce(announced, '') from batches
where {UNANNOUNCED} and state <> 'loading' and {_NEWS} <> coalesce(announced, '')
  and (:batch_id = 0 or id = :batch_id)
order by id limit :most"""
)
_hold = Statement("update batches set total = total where id = :batch_id")
_mark = Statement(
    f"""
update batches set announced = nullif(:news, '')
where id = :batch_id and coalesce(announced, '') = :before and {_NEWS} = :news"""
)
_subscribe = Statement(
    """
update batches set webhook_url = nullif(:url, '')
where id = :batch_id and coalesce(webhook_url, '') <> :url returning coalesce(announced, '')"""
)
_own = Statement("select webhook_url from batches where id = :batch_id")
_batch = Statement(
    "select name, paused_reason, webhook_url, {now} from batches where id = :batch_id"
)
_counts = Statement(
    "select state, cast(sum(jobs) as bigint) from batch_counts where batch_id = :batch_id"
    " group by state"
)
_cost = Statement(
    f"""
select cast(coalesce(sum(cost_micros), 0) as bigint),
  cast(coalesce(sum(case when outcome in ({AttemptOutcome.SUCCEEDED.value},
    {AttemptOutcome.LATE.value}) then unpriced_calls else 0 end), 0) as bigint)
from usage_hourly where batch_id = :batch_id"""
)


def found_news(
    connection: Connection, *, batch_id: int | None = None, most: int = 100
) -> list[Found]:
    """List batches that there is news of, the oldest first, or only *batch_id*. Writes nothing."""
    rows = _news.fetch(connection, batch_id=batch_id or 0, most=most)
    return [Found(row[0], News(row[1]), row[2]) for row in rows]


def announce(connection: Connection, found: Found, urls: Iterable[str] = ()) -> bool:
    """Have the news sent to the batch's own address and to *urls*.

    False: it was announced meanwhile, or is news no more.
    """
    _hold.run(connection, batch_id=found.batch_id)  # or a replay that commits now is not seen
    marked = _mark.run(
        connection, batch_id=found.batch_id, before=found.before, news=found.news.value
    )
    if marked and found.news is not News.NONE:
        _tell(connection, found.batch_id, found.news, urls)
    return bool(marked)


def own_webhook(connection: Connection, batch_id: int) -> str | None:
    """Return the address that a batch has of its own."""
    found: str | None = _own.fetch(connection, batch_id=batch_id)[0][0]
    return found


def set_webhook(connection: Connection, batch_id: int, url: str) -> None:
    """Let *url* hear of a batch, '' nobody. Where its end was announced before, it hears now."""
    rows = _subscribe.fetch(connection, batch_id=batch_id, url=url)
    if rows and rows[0][0] and url:
        _tell(connection, batch_id, News(rows[0][0]), ())


def _tell(connection: Connection, batch_id: int, news: News, urls: Iterable[str]) -> None:
    name, reason, own, now = _batch.fetch(connection, batch_id=batch_id)[0]
    jobs = dict.fromkeys(JobState, 0)
    for state, count in _counts.fetch(connection, batch_id=batch_id):
        jobs[JobState(state)] = int(count)
    cost, unpriced = _cost.fetch(connection, batch_id=batch_id)[0]
    data = BatchData(
        batch=batch_id,
        name=name,
        state=_WORDS[news],
        total=sum(jobs.values()),
        succeeded=jobs[JobState.SUCCEEDED],
        failed=jobs[JobState.FAILED] + jobs[JobState.QUARANTINED],
        cancelled=jobs[JobState.CANCELLED],
        cost_usd=None if unpriced else cost / 1e6,
        # What follows the colon may quote an error, and an error a prompt.
        reason=reason.partition(":")[0][:_LONGEST_REASON] if reason else None,
    )
    event = BatchEvent(news.event, iso(known_instant(now)), data)
    body = msgspec.json.encode(event).decode()
    for url in dict.fromkeys(url for url in (own, *urls) if url):
        add_delivery(connection, NewDelivery(str(batch_id), news.event, url, body))
