"""A line for each call, in a file of its day, for as long as it is kept."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from promptmill.schema.moves.endings import Attempted
from promptmill.schema.outcomes import AttemptOutcome, ErrorKind, Usage
from promptmill.schema.reading import DueJob
from promptmill.schema.settings import ProviderKind
from promptmill.workers.providers.base import Answer, Refusal
from promptmill.workers.request_log import RequestLog

BODY = '{"messages": [{"role": "user", "content": "Zanzibar"}]}'
JOB = DueJob(77, 1, 3, 5, "openai", "gpt-4o-mini", 1, 2, "retry", 0.0, BODY)
USAGE = Usage(512, 83, cache_read_tokens=7)
ANSWER = Answer("quokkas\ud83d", "stop", USAGE, tool_calls=({"id": "t1"},), first_token_s=0.4)
DONE = Attempted(
    AttemptOutcome.SUCCEEDED, 200, latency_ms=1840, usage=USAGE, cost_micros=127, first_token_ms=400
)
CUT = Refusal(ErrorKind.UNKNOWN, "cut", raw=b"half")
LOST = Attempted(AttemptOutcome.UNKNOWN, error_kind=ErrorKind.UNKNOWN, latency_ms=9)


class Days:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 28, 23, 59, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def lines(folder: Path) -> list[dict[str, Any]]:
    files = sorted(folder.glob("requests-*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def log_of(folder: Path, clock: Days, *, bodies: bool = False) -> RequestLog:
    return RequestLog(folder, bodies=bodies, days=7, clock=clock)


def test_a_line_tells_of_a_call_and_nothing_of_what_was_said(tmp_path: Path) -> None:
    log = log_of(tmp_path / "log", Days())
    log.record(ProviderKind.OPENAI, JOB, 4, ANSWER, DONE)
    log.record(ProviderKind.OPENAI, JOB, 5, CUT, LOST)
    log.close()
    answered, lost = lines(tmp_path / "log")
    told = {
        "provider": "openai",
        "model": "gpt-4o-mini",
        "job_id": 77,
        "fence": 4,
        "retry": 3,
        "cache": None,
        "outcome": "succeeded",
        "duration_ms": 1840,
        "first_token_ms": 400,
        "input_tokens": 512,
        "cache_read_tokens": 7,
        "cost_usd": 0.000127,
    }
    assert answered.items() >= told.items()
    assert (lost["outcome"], lost["error_kind"], lost["cost_usd"]) == ("unknown", "unknown", None)
    (file,) = (tmp_path / "log").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    for said in (b"Zanzibar", b"quokkas", b"half"):
        assert said not in file.read_bytes()


def test_requests_and_answers_are_there_where_they_are_asked_for(tmp_path: Path) -> None:
    log = log_of(tmp_path, Days(), bodies=True)
    log.record(ProviderKind.OPENAI, JOB, 4, ANSWER, DONE)
    log.record(ProviderKind.OPENAI, JOB, 5, CUT, LOST)
    log.close()
    answered, lost = lines(tmp_path)
    assert answered["request"] == json.loads(BODY)
    assert (answered["text"], answered["tool_calls"]) == ("quokkas\ufffd", [{"id": "t1"}])
    assert lost["raw_base64"] == "aGFsZg=="


def test_a_day_has_its_file_and_old_days_go(tmp_path: Path) -> None:
    clock, other = Days(), tmp_path / "notes.txt"
    other.touch()
    log = log_of(tmp_path, clock)
    for _ in range(9):
        log.record(ProviderKind.OPENAI, JOB, 4, ANSWER, DONE)
        clock.now += timedelta(days=1)
    log.close()
    days = sorted(path.name[9:19] for path in tmp_path.glob("requests-*"))
    assert days == [f"2026-11-{29 + n}" if n < 2 else f"2026-12-0{n - 1}" for n in range(8)]
    assert other.exists()


def test_a_folder_that_cannot_be_written_stops_no_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    log = log_of(tmp_path / "file", Days())
    with capture_logs() as told:
        log.record(ProviderKind.OPENAI, JOB, 4, ANSWER, DONE)
        log.record(ProviderKind.OPENAI, JOB, 5, ANSWER, DONE)
    assert [line["event"] for line in told] == ["request_log_not_written"]
