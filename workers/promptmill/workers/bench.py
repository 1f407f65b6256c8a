"""What all attempts of a process share, and what an attempt reports."""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from promptmill.schema.moves.endings import Attempted
from promptmill.schema.pii.shapes import Finder, find
from promptmill.schema.reading import DueJob
from promptmill.schema.settings import ProviderKind, RetrySettings
from promptmill.workers.deadlines import Deadlines
from promptmill.workers.files import AnswerFiles
from promptmill.workers.limits.permits import Permits
from promptmill.workers.outages import Outages, Told
from promptmill.workers.providers.base import Answer, Refusal
from promptmill.workers.recorder import Recorder
from promptmill.workers.references import References
from promptmill.workers.same_failures import SameFailures
from promptmill.workers.similarity import Similarity
from promptmill.workers.slots import Slots

PARK_AFTER_S = 2.0
"""A longer wait is SQL's, and dispatch hints it again; a shorter one is a timer of this process."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a task tells Celery and Flower: ids and numbers only."""

    text: str
    retry_in_s: float | None = None
    failed: bool = False
    turned: bool = False
    """its job is for another model now, at once"""


STALE = Report("dropped: stale, paused or cancelled")
"""The hint was no longer good."""


@dataclass(frozen=True, slots=True)
class KeyPause:
    """A stop of one key for all workers, kept in SQL: dispatch hints nothing of it meanwhile."""

    provider: str
    fingerprint: str
    kind: str
    """an ErrorKind"""
    reason: str
    model: str = ""
    """'' for all models"""
    seconds: float | None = None
    """None: until told"""


@dataclass(frozen=True, slots=True)
class BatchPause:
    """A stop of one batch until told."""

    batch_id: int
    reason: str


class Trace(Protocol):
    """What hears of every call that has ended."""

    def __call__(
        self,
        kind: ProviderKind,
        job: DueJob,
        fence: int,
        reply: Answer | Refusal,
        attempted: Attempted,
        /,
    ) -> None:
        """Take note of it; never block."""
        ...


def ignore(*_: object) -> None:
    """Take note of nothing."""


def all_of(traces: Sequence[Trace]) -> Trace:
    """Let each of *traces* hear of every call."""
    if not traces:
        return ignore
    if len(traces) == 1:
        return traces[0]

    def tell(*call: Any) -> None:
        for trace in traces:
            trace(*call)

    return tell


@dataclass(slots=True)
class Bench:
    """The tools of one worker process."""

    recorder: Recorder
    permits: Permits
    references: References
    similarity: Similarity
    policy: RetrySettings
    deadlines: Deadlines
    slots: Slots
    """one for each call that is open or about to be"""
    calls: Slots
    """one for each call that is open, or whose answer is not stored yet"""
    rng: random.Random
    pause: Callable[[KeyPause | BatchPause], Awaitable[None]]
    """stop a key or a batch in SQL; it holds when this returns"""
    files: AnswerFiles
    background_s: float
    """how long an attempt looks after what is made in the background"""
    poll_s: float
    """and how often, at first"""
    outages: Outages
    same_failures: SameFailures
    finder: Finder = find
    """says what is masked of answers"""
    told: Told = field(default_factory=Told)
    trace: Trace = ignore
    draining: bool = False
    """nothing is sent any more"""
