"""What goes on beside the dispatcher's own work, in a thread, where it may be slow."""

import time
from collections.abc import Callable
from threading import Event, Thread

import structlog

from promptmill.producer.outage import Outage
from promptmill.schema.database import DatabaseError
from promptmill.schema.errors import ServiceError

_log = structlog.get_logger(__name__)
_LOOK_S = 1.0


class Sideline(Thread):
    """Takes *turn* after *turn*, each second or when it is woken, until `end`."""

    def __init__(
        self, name: str, turn: Callable[[], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(name=name)
        self._take_turn = turn
        self._sql = Outage("sql", clock=clock)
        self._woken = Event()
        self._told = Event()

    @property
    def ends(self) -> bool:
        """Whether it was told to end."""
        return self._told.is_set()

    def wake(self) -> None:
        """Let the next turn begin at once."""
        self._woken.set()

    def run(self) -> None:
        """Work until told to end; no outage of SQL ends this."""
        while not self.ends:
            if not self._sql.rests:
                self._turn()
            self._woken.wait(_LOOK_S)
            self._woken.clear()

    def end(self) -> None:
        """Take no turn more, and wait for the one that is taken."""
        self._told.set()
        self.wake()
        self.join()

    def _turn(self) -> None:
        try:
            self._take_turn()
        except (DatabaseError, ServiceError) as error:
            self._sql.goes_on(error)
        except Exception as error:  # noqa: BLE001  the outermost loop of this thread
            _log.exception("turn failed", thread=self.name)
            self._sql.goes_on(error)
        else:
            self._sql.is_over()
