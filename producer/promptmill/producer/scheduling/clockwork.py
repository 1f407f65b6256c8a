"""The clockwork, beside each dispatcher: submits what is due. Any number may be at work."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from promptmill.producer.opening import PATIENCE_S
from promptmill.producer.scheduling.cron import next_time
from promptmill.producer.scheduling.firing import fire
from promptmill.producer.sideline import Sideline
from promptmill.schema.database import Database
from promptmill.schema.errors import UsageError
from promptmill.schema.schedules import (
    Ended,
    Outcome,
    Tick,
    claim_tick,
    end_tick,
    is_tick_due,
    keep_tick,
    pause_schedule,
)
from promptmill.schema.settings import Settings

_log = structlog.get_logger(__name__)
_LEASE_S = 120.0
"""from one chunk of an input to the next"""


class LeftError(Exception):
    """We are to end, or another one has taken the time: it goes on with what is stored."""


@contextmanager
def clockwork_at_work(settings: Settings) -> Iterator[None]:
    """Submit what is due while the block lasts."""
    database = Database.from_settings(settings, pool_size=2, patience_s=PATIENCE_S)
    clockwork = Clockwork(settings, database)
    beside = Sideline("clockwork", clockwork.turn)
    beside.start()
    try:
        yield
    finally:
        clockwork.ends = True
        beside.end()
        database.close()


class Clockwork:
    """Submits one batch after the other."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database
        self.ends = False
        """set when it should leave a submit that is under way"""

    def turn(self) -> None:
        """Do all that is due now. Nothing is written where nothing is."""
        while not self.ends:
            with self._database.read() as connection:
                if not is_tick_due(connection):
                    return
            with self._database.write() as connection:
                tick = claim_tick(connection, lease_s=_LEASE_S)
            if tick is None:
                return
            try:
                self._work(tick)
            except LeftError:  # the next one need not wait
                with self._database.write() as connection:
                    keep_tick(connection, tick, lease_s=0)
                _log.info("schedule left", schedule=tick.schedule.name)

    def _work(self, tick: Tick) -> None:
        schedule = tick.schedule
        ended = fire(
            self._settings, self._database, schedule, tick.at, beat=lambda: self._keep(tick)
        )
        try:
            # What was missed while nobody was at work is caught up once, by the time that is ours.
            next_at = next_time(schedule.cron, schedule.timezone, after=schedule.now)
        except UsageError as error:
            self._stop(tick, str(error))
            return
        with self._database.write() as connection:
            end_tick(connection, tick, ended, next_at=next_at)
        log = _log.warning if ended.outcome is Outcome.FAILED else _log.info
        log(f"schedule {ended.outcome}", schedule=schedule.name, batch=ended.batch_id)

    def _stop(self, tick: Tick, why: str) -> None:
        """Pause what is never due again."""
        with self._database.write() as connection:
            end_tick(connection, tick, Ended(Outcome.FAILED, why), next_at=tick.at)
            pause_schedule(connection, tick.schedule.name)
        _log.warning("schedule paused", schedule=tick.schedule.name)

    def _keep(self, tick: Tick) -> None:
        if self.ends:
            raise LeftError
        with self._database.write() as connection:
            kept = keep_tick(connection, tick, lease_s=_LEASE_S)
        if not kept:
            raise LeftError
