"""What the end of an attempt is: what its call came to, and where its job goes."""

from dataclasses import dataclass

from promptmill.schema.outcomes import AttemptOutcome, ErrorKind, Usage
from promptmill.schema.requests import Endpoint
from promptmill.schema.states import JobState
from promptmill.schema.truncation import Cut


@dataclass(frozen=True, slots=True)
class Attempted:
    """What one call came to."""

    outcome: AttemptOutcome
    http_status: int | None = None
    error_kind: ErrorKind | None = None
    error_code: str | None = None
    error_text: str | None = None
    request_id: str | None = None
    latency_ms: int | None = None
    usage: Usage | None = None
    cost_micros: int | None = None
    body_base64: str | None = None
    """What came, where it could not be used."""
    first_token_ms: int | None = None
    cut: Cut | None = None
    """What was left out of the prompt."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that came with an answer, and is on disk."""

    position: int
    """in the answer, from 0"""
    media_type: str
    bytes: int
    sha256: str
    path: str


@dataclass(frozen=True, slots=True)
class StoredResult:
    """An answer, as `results` keeps it."""

    text: str | None
    finish_reason: str
    tool_calls: str | None = None
    """JSON array"""
    response_model: str | None = None
    response_id: str | None = None
    endpoint: str = Endpoint.CHAT
    body: str | None = None
    """the provider's own answer, where it is kept: JSON"""
    files: tuple[StoredFile, ...] = ()
    validity: str | None = None
    """whether it has the form that was asked for; None: none was"""
    problem: str | None = None
    """what is wrong with that"""
    masked: tuple[tuple[str, str], ...] = ()
    """words in it, and what they stand for"""


@dataclass(frozen=True, slots=True)
class Closing:
    """The end of one attempt, and where its job goes. Make one with the functions below."""

    job_id: int
    fence: int
    attempted: Attempted
    state: JobState
    delay_s: float | None = None
    """for waiting: when it is due again"""
    attempts: int = 0
    refusals: int = 0
    result: StoredResult | None = None
    falls_back_to: str | None = None
    """`provider/model` that is asked next; None: the same"""


def finish(job_id: int, fence: int, attempted: Attempted, result: StoredResult) -> Closing:
    """Store the answer: running to succeeded."""
    return Closing(job_id, fence, attempted, JobState.SUCCEEDED, attempts=1, result=result)


def retry(job_id: int, fence: int, attempted: Attempted, delay_s: float) -> Closing:
    """Try again in *delay_s* seconds: running to waiting. Uses up an attempt."""
    return Closing(job_id, fence, attempted, JobState.WAITING, delay_s=delay_s, attempts=1)


def snooze(job_id: int, fence: int, attempted: Attempted, delay_s: float) -> Closing:
    """Wait *delay_s* seconds because the provider refused: a refusal, not an attempt."""
    return Closing(job_id, fence, attempted, JobState.WAITING, delay_s=delay_s, refusals=1)


def keep(job_id: int, fence: int, attempted: Attempted) -> Closing:
    """Put the job back to be done, at no cost to it: running to pending."""
    return Closing(job_id, fence, attempted, JobState.PENDING)


def fall_back(job_id: int, fence: int, attempted: Attempted, to: str) -> Closing:
    """Let another model be asked, `provider/model`: running to pending. Uses up no attempt."""
    refusals = int(attempted.outcome is not AttemptOutcome.NOT_SENT)
    return Closing(job_id, fence, attempted, JobState.PENDING, refusals=refusals, falls_back_to=to)


def unclaim(job_id: int, fence: int, attempted: Attempted) -> Closing:
    """Undo a claim whose request was never sent; its hint stays good: running to queued."""
    return Closing(job_id, fence, attempted, JobState.QUEUED)


def fail(job_id: int, fence: int, attempted: Attempted) -> Closing:
    """Give the job up: running to failed."""
    return Closing(job_id, fence, attempted, JobState.FAILED, attempts=1)


def hold(job_id: int, fence: int, attempted: Attempted) -> Closing:
    """Hold the job for a person: running to quarantined."""
    return Closing(job_id, fence, attempted, JobState.QUARANTINED, attempts=1)
