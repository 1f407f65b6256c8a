"""One part of what goes on by itself, in a thread, done by the one gateway that leads in it."""

import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Protocol

import structlog

from promptmill.gateway.context import Gateway
from promptmill.producer.outage import Outage
from promptmill.schema.database import DatabaseError
from promptmill.schema.errors import ServiceError, UsageError
from promptmill.schema.host import new_owner
from promptmill.schema.leader import Lead

_log = structlog.get_logger(__name__)
_LOOK_S = 0.5


class StoppedError(Exception):
    """The gateway stops in the middle of something that another one, or the next, goes on with."""


class Work(Protocol):
    """A part of what goes on."""

    @property
    def role(self) -> str:
        """Name it: one gateway of all leads in it."""
        ...

    def turn(self, beat: Callable[[], None]) -> None:
        """Do all that is to be done now. Call *beat* now and then; it raises StoppedError."""
        ...


class Shift(Thread):
    """Does *work* again and again, until `end`."""

    def __init__(self, gateway: Gateway, work: Work) -> None:
        super().__init__(name=work.role)
        self._gateway, self._work = gateway, work
        self._lead = Lead(
            gateway.database,
            role=work.role,
            owner=new_owner(),
            patience_s=gateway.settings.dispatch.leader_s,
            clock=time.monotonic,
        )
        self._sql = Outage("sql", clock=time.monotonic)
        self._files = Outage("folder of files", clock=time.monotonic)
        self._told = Event()

    def run(self) -> None:
        """Work until told to stop; no outage ends this."""
        while not self._told.is_set():
            if not (self._sql.rests or self._files.rests):
                self._turn()
            self._gateway.news.wait(_LOOK_S)
            self._gateway.news.clear()
        try:
            self._lead.resign()
        except (DatabaseError, ServiceError) as error:
            _log.warning("lead not given up", error=type(error).__name__)

    def end(self) -> None:
        """Stop soon, and wait for it."""
        self._told.set()
        self._gateway.news.set()
        self.join()

    def _turn(self) -> None:
        try:
            if self._lead.hold():
                self._work.turn(self._beat)
        except StoppedError:
            return
        except (DatabaseError, ServiceError) as error:
            self._lead.missed()
            self._sql.goes_on(error)
        except (OSError, UsageError) as error:  # full, or away: `placed` says it in its own words
            self._files.goes_on(error)
        except Exception as error:  # noqa: BLE001  the outermost loop of this thread
            # One order that meets a bug of ours may not end what is done for all others.
            _log.exception("turn failed", role=self._work.role)
            self._files.goes_on(error)
        else:
            self._sql.is_over()
            self._files.is_over()

    def _beat(self) -> None:
        if self._told.is_set():
            raise StoppedError
        self._lead.hold()
