"""The dispatcher: one leader that feeds the queues and sweeps; others stand by.

`run_dispatcher` is what `promptmill dispatch` calls.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from threading import Event

import structlog

from promptmill.producer.dispatching.broker import HintSender, make_sender
from promptmill.producer.dispatching.detours import Detours
from promptmill.producer.dispatching.feed import Fed, Feeder
from promptmill.producer.dispatching.pruning import Retention
from promptmill.producer.dispatching.sweep import Sweeper, Swept
from promptmill.producer.dispatching.twins import TwinEnder
from promptmill.producer.metrics.server import served_metrics
from promptmill.producer.outage import Outage
from promptmill.producer.webhooks.courier import courier_at_work
from promptmill.schema.database import SERVICE_PATIENCE_S, Database, DatabaseError
from promptmill.schema.errors import ServiceError
from promptmill.schema.host import new_owner
from promptmill.schema.leader import Lead
from promptmill.schema.moves.spending import pause_used_up
from promptmill.schema.revisions import newest_revision, require_current, require_recent
from promptmill.schema.settings import Settings

_log = structlog.get_logger(__name__)
ROLE = "dispatch"


def run_dispatcher(
    settings: Settings,
    stop: Event,
    *,
    beside: Callable[[Settings], AbstractContextManager[object]] = nullcontext,
) -> None:
    """Dispatch until *stop* is set, with what *beside* has go on meanwhile.

    Raises ContractError for a database of another release.
    """
    database = Database.from_settings(settings, patience_s=SERVICE_PATIENCE_S)
    sender = make_sender(settings)
    try:
        found = require_current(database)
        if found != newest_revision():
            _log.warning("newer database, this release may go on", revision=found)
        dispatcher = Dispatcher(settings, database, sender, owner=new_owner())
        with (
            closing(dispatcher),
            served_metrics(settings, leads=lambda: dispatcher.leads),
            courier_at_work(settings, database),
            beside(settings),
        ):
            dispatcher.run(stop)
    finally:
        sender.close()
        database.close()


class Dispatcher:
    """Keeps the queues fed and swept while it leads. For one thread.

    *owner* names this start of this process (`new_owner`); *clock* is monotonic, in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        sender: HintSender,
        *,
        owner: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._database, self._clock = settings, database, clock
        patience_s = settings.dispatch.leader_s
        self._lead = Lead(database, role=ROLE, owner=owner, patience_s=patience_s, clock=clock)
        self._feeder = Feeder(settings, database, sender, clock=clock)
        self._sweeper = Sweeper(settings, database, sender, clock=clock)
        self._retention = Retention(
            settings.retention, database, clock=clock, files_dir=settings.files_folder
        )
        self._twins = TwinEnder(database, clock=clock)
        self._detours = Detours(settings.retry, database, clock=clock, pools=settings.pools)
        self._sql = Outage("sql", clock=clock)
        self._sweep_at = clock()
        self._hinted = 0

    @property
    def leads(self) -> bool:
        """Whether this process leads, as far as it knows."""
        return self._lead.leads

    def run(self, stop: Event) -> None:
        """Work until *stop* is set, then give up the lead. No outage ends this.

        Raises ContractError when a newer release has upgraded the database to what we would spoil.
        """
        while not stop.is_set():
            if not self._turn():
                stop.wait(self._settings.dispatch.interval_s)
        try:
            self._lead.resign()
        except (DatabaseError, ServiceError) as error:
            _log.warning("lead not given up", error=type(error).__name__)

    def close(self) -> None:
        """Close what it opened."""
        self._feeder.close()

    def round(self) -> Fed:
        """Feed once, if this process leads."""
        if not self._lead.hold():
            return Fed()
        self._detours.turn()
        fed = self._feeder.feed()
        self._hinted += fed.hints
        if any(batch.is_held for batch in self._feeder.left):
            self._pause_used_up()
        self._feeder.lanes.turn()
        self._twins.turn()
        return fed

    def _pause_used_up(self) -> None:
        """Pause what its budget holds, once the last of its calls has ended."""
        with self._database.write() as connection:
            paused = pause_used_up(connection)
        for batch_id, reason in paused:
            _log.warning("batch paused", batch=batch_id, reason=reason)

    def sweep(self) -> Swept:
        """Sweep once, if this process leads; observe the workers' beats in any case."""
        if self._lead.hold():
            return self._sweeper.sweep()
        self._sweeper.observe()
        return Swept()

    def _turn(self) -> bool:
        """Do what is due; say whether to go on at once."""
        if self._sql.rests:
            return False
        try:
            fed = self.round()
            if self._clock() >= self._sweep_at:
                self._sweep_at = self._clock() + self._settings.dispatch.sweep_s
                self._require_recent()
                self.sweep()
                if self._lead.leads:
                    self._retention.turn()
                self._tell_progress()
        except (DatabaseError, ServiceError) as error:
            self._lead.missed()
            self._sweeper.missed()
            self._sql.goes_on(error)
            return False
        self._sql.is_over()
        return fed.more

    def _require_recent(self) -> None:
        with self._database.read() as connection:
            require_recent(connection)

    def _tell_progress(self) -> None:
        """Log one line, where there was something to do since the last one."""
        if self._hinted:
            left = self._feeder.left
            _log.info(
                "dispatched",
                hints=self._hinted,
                pending=sum(batch.pending for batch in left),
                queued=sum(batch.queued for batch in left),
                running=sum(batch.running for batch in left),
                waiting=sum(batch.waiting for batch in left),
            )
            self._hinted = 0
