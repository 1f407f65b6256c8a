"""Stops of keys and batches, written to SQL: there they hold for all workers."""

import asyncio
import logging
from dataclasses import asdict

from promptmill.schema.database import Database, DatabaseError
from promptmill.schema.errors import ServiceError
from promptmill.schema.moves.steering import pause_batch
from promptmill.schema.pauses import pause_provider
from promptmill.workers.bench import BatchPause, KeyPause

_log = logging.getLogger(__name__)


class PauseWriter:
    """Writes the pauses that attempts of one process ask for. On one loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writing: dict[tuple[str | int, ...], asyncio.Task[None]] = {}

    async def pause(self, pause: KeyPause | BatchPause) -> None:
        """Stop it for all workers. Of calls that are refused together one writes for all."""
        held = _what(pause)
        if held not in self._writing:
            self._writing[held] = asyncio.create_task(self._write_or_log(pause))
            self._writing[held].add_done_callback(lambda _: self._writing.pop(held))
        await asyncio.shield(self._writing[held])

    def write(self, pause: KeyPause | BatchPause) -> None:
        """Write *pause* now. For a thread. Raises DatabaseError."""
        if isinstance(pause, KeyPause):
            _log.error("%s paused: %s", pause.provider, pause.reason)
            with self._database.write() as connection:
                pause_provider(connection, **asdict(pause))
            return
        with self._database.write() as connection:
            is_new = pause_batch(connection, pause.batch_id, pause.reason)
        if is_new:
            _log.error("batch %d paused: %s", pause.batch_id, pause.reason)

    async def _write_or_log(self, pause: KeyPause | BatchPause) -> None:
        try:
            await asyncio.to_thread(self.write, pause)
        except (DatabaseError, ServiceError) as error:
            _log.error("pause not written, the next refusal will try: %s", type(error).__name__)


def _what(pause: KeyPause | BatchPause) -> tuple[str | int, ...]:
    """Tell what is stopped by *pause*: two of the same say the same."""
    if isinstance(pause, BatchPause):
        return (pause.batch_id,)
    return (pause.provider, pause.fingerprint, pause.model, pause.kind)
