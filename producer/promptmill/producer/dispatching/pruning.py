"""Delete what is old, in steps of some milliseconds; the command does them all, the leader a few.

No transaction is open between two steps, and one that is never followed by the next has done no
harm: what is left is pruned by the next one who tries.
"""

from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass
from pathlib import Path

import structlog

from promptmill.producer.dispatching.answer_files import remove_files
from promptmill.schema.answers import job_span
from promptmill.schema.database import Database
from promptmill.schema.moves.pruning import (
    OldBatch,
    Pruned,
    finish_pruning,
    forget_workers,
    mark_pruned,
    old_batches,
    prune_chunk,
)
from promptmill.schema.settings import RetentionSettings
from promptmill.schema.space import give_back

_log = structlog.get_logger(__name__)
_CHUNK = 1000
"""jobs in a transaction: some 30 ms of SQLite's only writer"""
_EVERY_S = 600.0
_STEPS = 10
"""of the leader, for a sweep"""
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class PruneOrder:
    """What is to go: of batches that ended *age_s* ago, or only of *batches* of those."""

    level: Pruned
    age_s: float
    batches: Collection[int] = ()
    files_dir: Path | None = None
    """where the files of answers are; None: they are left"""


@dataclass(frozen=True, slots=True)
class Step:
    """What one transaction did."""

    batch: OldBatch | None
    """None: room was given back"""
    jobs: int = 0
    is_last: bool = False
    """of its batch"""


def to_prune(database: Database, order: PruneOrder) -> list[OldBatch]:
    """List the batches that *order* takes something of."""
    with database.read() as connection:
        found = old_batches(connection, order.level, age_s=order.age_s)
    return [batch for batch in found if not order.batches or batch.id in order.batches]


def prune_steps(database: Database, order: PruneOrder) -> Generator[Step, None, None]:
    """Prune, a transaction for each step that is yielded. Raises DatabaseError between steps."""
    for batch in to_prune(database, order):
        with database.write() as connection:
            if not mark_pruned(connection, batch.id, order.level, age_s=order.age_s):
                continue  # a retry came between
        yield from _prune(database, batch, order)
    with database.write() as connection:
        forget_workers(connection, age_s=max(order.age_s, _DAY_S))
    while give_back(database):
        yield Step(None)


def _prune(database: Database, batch: OldBatch, order: PruneOrder) -> Generator[Step, None, None]:
    with database.read() as connection:
        span = job_span(connection, batch.id)
    after = 0 if span is None else span[0] - 1
    while True:
        with database.write() as connection:
            ids = prune_chunk(connection, batch.id, order.level, after=after, most=_CHUNK)
        if not ids:
            break
        yield Step(batch, len(ids))
        after = ids[-1]
    if order.files_dir is not None and order.level is Pruned.ALL:
        remove_files(database, order.files_dir / str(batch.id))
    with database.write() as connection:
        finish_pruning(connection, batch.id)
    yield Step(batch, is_last=True)


class Retention:
    """Prunes as the settings say, a little each time. For the leader; *clock* is monotonic."""

    def __init__(
        self,
        settings: RetentionSettings,
        database: Database,
        *,
        clock: Callable[[], float],
        files_dir: Path | None = None,
    ) -> None:
        self._database, self._clock = database, clock
        self._order = order_of(settings, files_dir)
        self._steps: Generator[Step, None, None] | None = None
        self._next_at = clock()

    def turn(self) -> int:
        """Take a few steps, where it is time to. Returns of how many jobs something went."""
        if self._order is None:
            return 0
        if self._steps is None:
            if self._clock() < self._next_at:
                return 0
            self._next_at = self._clock() + _EVERY_S
            self._steps = prune_steps(self._database, self._order)
        jobs = 0
        for _ in range(_STEPS):
            step = next(self._steps, None)
            if step is None:
                self._steps = None
                break
            jobs += step.jobs
            if step.batch is not None and step.is_last:
                _log.info("pruned", batch=step.batch.id, what=self._order.level.value)
        return jobs


def order_of(settings: RetentionSettings, files_dir: Path | None) -> PruneOrder | None:
    """Say what the settings let go, if anything."""
    if settings.days is None:
        return None
    level = Pruned.PROMPTS if settings.keep_answers else Pruned.ALL
    return PruneOrder(level, settings.days * _DAY_S, files_dir=files_dir)
