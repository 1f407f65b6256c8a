"""One line of JSON for each call that has ended: the request log.

Files of its own, one a process and day, which only their owner may read: a line costs a tenth of
what one through the log does, old days are deleted by their names, and requests and answers, where
they are asked for, stay out of the log.
"""

import base64
import os
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import structlog

from promptmill.schema.moves.endings import Attempted
from promptmill.schema.pii.masking import Masker, masked_bytes
from promptmill.schema.private import private_folder
from promptmill.schema.reading import DueJob
from promptmill.schema.settings import ProviderKind
from promptmill.workers.attempted import result_of
from promptmill.workers.providers.base import Answer, Refusal

_NAME: Final = re.compile(r"requests-(\d{4}-\d\d-\d\d)-\d+\.jsonl")
_log = structlog.get_logger(__name__)


def now() -> datetime:
    """Tell the time in UTC."""
    return datetime.now(UTC)


class RequestLog:
    """The files of this process in *folder*; those of all processes go after *days*. One thread."""

    def __init__(
        self,
        folder: Path,
        *,
        bodies: bool,
        days: float,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._folder, self._bodies, self._days = folder, bodies, days
        self._clock = clock
        self._file: IO[bytes] | None = None
        self._day: date | None = None

    def record(
        self,
        kind: ProviderKind,
        job: DueJob,
        fence: int,
        reply: Answer | Refusal,
        attempted: Attempted,
    ) -> None:
        """Write the line of a call that has just ended. A disk that refuses it stops no work."""
        del kind
        at = self._clock()
        line = _line(at, job, fence, reply, attempted)
        if self._bodies:
            said = {"request": msgspec.json.decode(job.body), **_answer(reply)}
            line |= Masker().mask_in(said)
        try:
            if at.date() != self._day:
                self._begin(at.date())
            if self._file is not None:
                self._file.write(msgspec.json.encode(line) + b"\n")
        except OSError as error:
            self.close()
            _log.warning("request_log_not_written", error=type(error).__name__)

    def close(self) -> None:
        """Close the file of the day; nothing more is written on that day."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def _begin(self, day: date) -> None:
        self.close()
        self._day = day
        folder = private_folder(self._folder)
        for path in folder.iterdir():
            dated = _NAME.fullmatch(path.name)
            if dated and date.fromisoformat(dated[1]) < day - timedelta(days=self._days):
                path.unlink(missing_ok=True)
        path = folder / f"requests-{day.isoformat()}-{os.getpid()}.jsonl"
        fd = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        self._file = os.fdopen(fd, "ab", buffering=0)


def _line(
    at: datetime, job: DueJob, fence: int, reply: Answer | Refusal, attempted: Attempted
) -> dict[str, Any]:
    usage, cost = attempted.usage, attempted.cost_micros
    return {
        "at": at.isoformat(timespec="milliseconds"),
        "provider": job.provider,
        "model": job.model,
        "batch_id": job.batch_id,
        "job_id": job.job_id,
        "fence": fence,
        "retry": job.attempts + job.refusals + job.crashes,
        "cache": None if job.cache_s is None else "miss",
        "outcome": attempted.outcome.word,
        "http_status": attempted.http_status,
        "error_kind": attempted.error_kind,
        "error_code": attempted.error_code,
        "finish_reason": reply.finish_reason if isinstance(reply, Answer) else None,
        "request_id": attempted.request_id,
        "duration_ms": attempted.latency_ms,
        "first_token_ms": attempted.first_token_ms,
        "input_tokens": usage.input_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
        "cache_read_tokens": usage.cache_read_tokens if usage else None,
        "cache_write_tokens": usage.cache_write_tokens if usage else None,
        "reasoning_tokens": usage.reasoning_tokens if usage else None,
        "cost_usd": None if cost is None else cost / 1e6,
    }


def _answer(reply: Answer | Refusal) -> Mapping[str, Any]:
    if isinstance(reply, Refusal):
        raw = masked_bytes(reply.raw) if reply.raw else b""
        return {"raw_base64": base64.b64encode(raw).decode() or None}
    stored = result_of(reply)
    calls = stored.tool_calls
    return {"text": stored.text, "tool_calls": msgspec.json.decode(calls) if calls else None}
