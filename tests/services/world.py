"""What must hold after every run, whatever happened in it: one check for all tests."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.states import FINAL_STATES, JobState
from promptmill.schema.tables import metadata
from promptmill.simulator import Row
from tests.schema.scene import assert_sums
from tests.services.running_mill import RunningMill

_MAY_HOLD_PROMPTS = {"job_payloads", "results", "attempt_bodies"}
_COSTS_TOKENS = {AttemptOutcome.SUCCEEDED, AttemptOutcome.LATE}


def assert_world(
    mill: RunningMill, *, unbooked: int = 0, ended: bool = True, events: Iterable[Any] = ()
) -> None:
    """Compare SQL with the simulator's bill and with itself, and look for what must not leak.

    *unbooked*: how many billed answers may be missing from the books, since their worker was
    killed (or told to stop at once) with the call open. *ended*: every job must have ended.
    """
    jobs = {row["id"]: row for row in mill.sql("select * from jobs")}
    attempts = {(row["job_id"], row["fence"]): row for row in mill.sql("select * from attempts")}
    results = {row["job_id"]: row for row in mill.sql("select * from results")}
    _assert_nothing_is_lost(mill, jobs, ended=ended)
    _assert_one_answer(jobs, results)
    _assert_no_hidden_call(mill, jobs, attempts)
    _assert_the_bill_is_booked(mill, attempts, unbooked=unbooked)
    with mill.database.read() as connection:
        assert_sums(connection)
    _assert_nothing_leaks(mill, events)


def _assert_nothing_is_lost(
    mill: RunningMill, jobs: dict[int, dict[str, Any]], *, ended: bool
) -> None:
    loaded = mill.sql("select coalesce(sum(total), 0) as n from batches")[0]["n"]
    assert len(jobs) == loaded
    left = Counter(JobState(job["state"]).word for job in jobs.values())
    if ended:
        assert left.keys() <= {state.word for state in FINAL_STATES}, f"not ended: {left}"
        owned = mill.sql("select count(*) as n from attempts where outcome = 0")
        assert owned[0]["n"] == 0, "an attempt is still open"


def _assert_one_answer(jobs: dict[int, dict[str, Any]], results: dict[int, dict[str, Any]]) -> None:
    answered = {job_id for job_id, job in jobs.items() if job["state"] == JobState.SUCCEEDED}
    assert results.keys() == answered
    for job_id, result in results.items():
        assert result["fence"] == jobs[job_id]["fence"], f"job {job_id} has another run's result"


def _assert_no_hidden_call(
    mill: RunningMill,
    jobs: dict[int, dict[str, Any]],
    attempts: dict[tuple[int, int], dict[str, Any]],
) -> None:
    sent = Counter((job_id, fence) for _row, job_id, fence in _ours(mill))
    for at, times in sent.items():
        assert times == 1, f"attempt {at} was sent {times} times"
        assert at in attempts, f"a request of {at} has no row in attempts"
        assert attempts[at]["outcome"] != AttemptOutcome.NOT_SENT, f"{at} was sent after all"
    stopped = Counter(
        job_id
        for (job_id, _), attempt in attempts.items()
        if attempt["error_kind"] in ("money", "key")
    )
    for job_id, requests in Counter(job_id for job_id, _fence in sent).items():
        job = jobs[job_id]
        allowed = job["attempts"] + job["refusals"] + job["crashes"] + stopped[job_id]
        assert requests <= allowed, f"job {job_id} was sent {requests} times, {allowed} allowed"


def _assert_the_bill_is_booked(
    mill: RunningMill, attempts: dict[tuple[int, int], dict[str, Any]], *, unbooked: int
) -> None:
    missing = []
    for row, job_id, fence in _ours(mill):
        attempt = attempts[job_id, fence]
        booked = (attempt["input_tokens"] or 0, attempt["output_tokens"] or 0)
        if row.billed and booked != (row.input_tokens, row.output_tokens):
            assert attempt["outcome"] == AttemptOutcome.UNKNOWN or attempt["error_kind"], (
                f"attempt {job_id, fence} booked {booked} of {row}"
            )
            if row.complete and not row.fault:
                missing.append((job_id, fence))
        if not row.billed:
            assert attempt["outcome"] not in _COSTS_TOKENS, f"booked, not billed: {row}"
    assert len(missing) <= unbooked, f"answers that were paid for and thrown away: {missing}"


def _assert_nothing_leaks(mill: RunningMill, events: Iterable[Any]) -> None:
    key, prompt = f"key{mill.canary}", f"prompt{mill.canary}"
    for what, text in _everything_that_stays(mill, events):
        assert key not in text, f"a key is in {what}: {_around(text, key)}"
        if what.removeprefix("table ") not in _MAY_HOLD_PROMPTS:
            assert prompt not in text, f"a prompt is in {what}: {_around(text, prompt)}"


def _everything_that_stays(mill: RunningMill, events: Iterable[Any]) -> Iterator[tuple[str, str]]:
    for table in metadata.tables:
        yield f"table {table}", repr(mill.sql(f"select * from {table}"))
    for log in mill.logs():
        yield log.name, log.read_text(errors="replace")
    yield "events", repr(list(events))
    yield "Redis", mill.valkey.written()


def _ours(mill: RunningMill) -> Iterator[tuple[Row, int, int]]:
    for row in mill.simulator.bill():
        batch_id, job_id, fence = row.client_request_id.split("-")
        assert batch_id.isdecimal()
        yield row, int(job_id), int(fence)


def _around(text: str, found: str) -> str:
    at = text.index(found)
    return text[max(0, at - 200) : at + 40]
