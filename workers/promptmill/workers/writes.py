"""What a worker writes to jobs, and how a group of such writes is done in one transaction."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

from promptmill.schema.database import Connection
from promptmill.schema.hint import Hint
from promptmill.schema.moves.caching import Followed, Wish, follow
from promptmill.schema.moves.claiming import claim, claimed_before
from promptmill.schema.moves.closing import close, closed_before
from promptmill.schema.moves.endings import Closing
from promptmill.schema.moves.queueing import postpone, requeue, unqueue
from promptmill.schema.moves.similar import NewEntry, remember
from promptmill.schema.moves.spending import Reservation
from promptmill.workers.spool import Key


class Stored(Enum):
    """What became of the end of an attempt."""

    MOVED = "moved"
    TAKEN = "taken"
    """another run has the job now; what the call cost is booked"""
    HELD = "held"
    """SQL refuses the row: the job is held for a person, with what came"""
    SPOOLED = "spooled"
    """SQL is away and this worker leaves: on disk, for the next worker to store"""


@dataclass(frozen=True, slots=True)
class Claim:
    """Take the job of this hint, to be called with the key of this fingerprint."""

    hint: Hint
    fingerprint: str
    reservation: Reservation | None = None
    """what it must find room for, where its batch has a budget"""


@dataclass(frozen=True, slots=True)
class Unqueue:
    """Put the job of this hint back to pending."""

    hint: Hint


@dataclass(frozen=True, slots=True)
class Postpone:
    """Snooze the job of this hint."""

    hint: Hint
    delay_s: float


@dataclass(frozen=True, slots=True)
class Requeue:
    """Queue the job of this hint, whose wait is over."""

    hint: Hint


Write = Claim | Closing | NewEntry | Wish | Unqueue | Postpone | Requeue
Written = int | bool | Stored | Followed | None
"""A claim's fence or None; of an end or a wish, what became of it; else whether the job moved."""
CLOSED_FIRST = (Closing, Claim, NewEntry, Wish, Unqueue, Postpone, Requeue)
"""No job is claimed before the answers that are there, nor followed before it can be found."""


def apply(
    connection: Connection,
    writes: Sequence[Write],
    *,
    worker_id: str,
    again: Collection[Key] | None = None,
) -> list[Written | Exception]:
    """Do *writes*, and answer each.

    *again*: a try went before this one, whose COMMIT may have been lost or only its answer; and
    this is what the process has claimed apart from that.
    """
    closings = [write for write in writes if isinstance(write, Closing)]
    claims = [write for write in writes if isinstance(write, Claim)]
    moved = close(connection, closings, worker_id=worker_id) if closings else set()
    fences = _claim(connection, claims, worker_id) if claims else {}
    if again is not None:
        moved |= closed_before(connection, closings)
        fences |= _claimed_before(connection, claims, worker_id, again)
    moved |= _queue(connection, writes)
    entries = [write for write in writes if isinstance(write, NewEntry)]
    if entries:
        remember(connection, entries)
    wishes = [write for write in writes if isinstance(write, Wish)]
    followed = follow(connection, wishes) if wishes else {}
    return [_answer(write, moved, fences, followed) for write in writes]


def _claim(connection: Connection, claims: Sequence[Claim], worker_id: str) -> dict[int, int]:
    reservations = {each.hint.job_id: each.reservation for each in claims if each.reservation}
    asked = [(each.hint, each.fingerprint) for each in claims]
    return claim(connection, asked, worker_id=worker_id, reservations=reservations)


def _claimed_before(
    connection: Connection, claims: Sequence[Claim], worker_id: str, known: Collection[Key]
) -> dict[int, int]:
    """Find what a try before this one has claimed, where the answer to its COMMIT was lost."""
    asked = [(each.hint, each.fingerprint) for each in claims]
    found = claimed_before(connection, asked, worker_id=worker_id)
    return {job: fence for job, fence in found.items() if (job, fence) not in known}


def _queue(connection: Connection, writes: Sequence[Write]) -> set[int]:
    """Do what moves a job that was never claimed."""
    returned = [write.hint for write in writes if isinstance(write, Unqueue)]
    snoozed = [(write.hint, write.delay_s) for write in writes if isinstance(write, Postpone)]
    waiting = [write.hint for write in writes if isinstance(write, Requeue)]
    moved = unqueue(connection, returned) if returned else set()
    moved |= postpone(connection, snoozed) if snoozed else set()
    moved |= requeue(connection, waiting) if waiting else set()
    return moved


def _answer(
    write: Write, moved: set[int], fences: dict[int, int], followed: dict[int, Followed]
) -> Written:
    match write:
        case Claim(hint=hint):
            return fences.pop(hint.job_id, None)  # of two like hints, one wins
        case Wish(hint=hint):
            return followed[hint.job_id]
        case NewEntry():
            return None
        case Closing(job_id=job_id):
            return Stored.MOVED if job_id in moved else Stored.TAKEN
        case Unqueue(hint=hint) | Postpone(hint=hint) | Requeue(hint=hint):
            return hint.job_id in moved
