"""Tell that this process lives, what it holds, and notice what it has lost.

Runs in a thread of its own with its own connection, so that it waits behind no commit.
"""

import logging
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence

from promptmill.schema.connection import Connection
from promptmill.schema.database import Database, DatabaseError
from promptmill.schema.errors import ServiceError
from promptmill.schema.host import host_identity
from promptmill.schema.moves.rescuing import rescue, running_of, wait_on
from promptmill.schema.pauses import lift_pauses
from promptmill.schema.presence import NO_KEY, beat, register_worker, stop_worker

_log = logging.getLogger(__name__)
_MOST = 10_000


class Heartbeat:
    """The beat of one worker process."""

    def __init__(
        self,
        database: Database,
        *,
        worker_id: str,
        pid: int,
        version: str,
        keys: Mapping[str, str],
        concurrency: int,
        beat_s: float,
        max_crashes: int,
        in_hand: Callable[[], Sequence[int]],
        claimed: Callable[[], frozenset[tuple[int, int]]],
        on_beat: Callable[[], None],
        on_declared_dead: Callable[[str], None],
    ) -> None:
        self.worker_id = worker_id
        self._database, self._pid, self._version = database, pid, version
        self._keys, self._concurrency = keys, concurrency
        self._beat_s, self._max_crashes = beat_s, max_crashes
        self._in_hand, self._claimed = in_hand, claimed
        self._on_beat, self._on_declared_dead = on_beat, on_declared_dead
        self._suspects: frozenset[tuple[int, int]] = frozenset()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._beats, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Make this worker's row, lift what held only for want of a key, and begin to beat."""
        with self._database.write() as connection:
            self._register(connection, self.worker_id)
            for provider, fingerprint in self._keys.items():
                if fingerprint != NO_KEY:
                    lift_pauses(connection, provider=provider, fingerprint=NO_KEY)
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye; what is still running under this worker's name is free to be rescued."""
        self._stopping.set()
        self._thread.join(5)
        try:
            with self._database.write() as connection:
                stop_worker(connection, self.worker_id)
        except (DatabaseError, ServiceError) as error:
            _log.warning("no goodbye, sql is away: %s", type(error).__name__)

    def _register(self, connection: Connection, worker_id: str) -> None:
        register_worker(
            connection,
            worker_id=worker_id,
            host=host_identity(),
            pid=self._pid,
            version=self._version,
            keys=self._keys,
            concurrency=self._concurrency,
        )

    def _beats(self) -> None:
        while not self._stopping.wait(self._beat_s):
            try:
                self._once()
            except (DatabaseError, ServiceError) as error:
                _log.warning("beat not written, sql is away: %s", type(error).__name__)
            except Exception:  # noqa: BLE001  the outermost loop of this thread
                # A worker without a beat would go on, with all its jobs taken and called again.
                _log.exception("beat broken")

    def _once(self) -> None:
        with self._database.write() as connection:
            alive = beat(connection, self.worker_id, self._in_hand())
        if not alive:
            self._start_anew()
        self._on_beat()
        self._find_lost()

    def _start_anew(self) -> None:
        """We were declared dead while we were away (suspended, or cut off from SQL)."""
        _log.warning("declared dead by the sweeper; going on under a new name")
        name = str(uuid.uuid4())
        with self._database.write() as connection:
            self._register(connection, name)
            wait_on(connection, before=self.worker_id, name=name)
        self.worker_id = name
        self._on_declared_dead(name)

    def _find_lost(self) -> None:
        """Put back what SQL says is running here and this process does not have, twice in a row."""
        with self._database.read() as connection:
            mine = frozenset(running_of(connection, self.worker_id, most=_MOST))
        suspects = mine - self._claimed()
        lost = sorted(suspects & self._suspects)
        self._suspects = suspects
        if lost:
            _log.error("%d jobs lost inside this worker; putting them back", len(lost))
            with self._database.write() as connection:
                rescue(
                    connection,
                    lost,
                    worker_id=self.worker_id,
                    alone=len(mine) == 1,
                    max_crashes=self._max_crashes,
                    reason="lost inside a live worker",
                )
