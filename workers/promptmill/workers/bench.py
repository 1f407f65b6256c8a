"""What all attempts of a process share, and what an attempt reports."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from promptmill.schema.settings import RetrySettings
from promptmill.workers.deadlines import Deadlines
from promptmill.workers.limits.permits import Permits
from promptmill.workers.outages import Outages, Told
from promptmill.workers.recorder import Recorder
from promptmill.workers.same_failures import SameFailures
from promptmill.workers.slots import Slots

PARK_AFTER_S = 2.0
"""A longer wait is SQL's, and dispatch hints it again; a shorter one is a timer of this process."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a task tells Celery and Flower: ids and numbers only."""

    text: str
    retry_in_s: float | None = None
    failed: bool = False


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


@dataclass(slots=True)
class Bench:
    """The tools of one worker process."""

    recorder: Recorder
    permits: Permits
    policy: RetrySettings
    deadlines: Deadlines
    slots: Slots
    """one for each call that may be open"""
    rng: random.Random
    pause: Callable[[KeyPause | BatchPause], Awaitable[None]]
    """stop a key or a batch in SQL; it holds when this returns"""
    outages: Outages
    same_failures: SameFailures
    told: Told = field(default_factory=Told)
    draining: bool = False
    """nothing is sent any more"""
