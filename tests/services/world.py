"""What must hold after every run, whatever happened in it: one check for all tests.

The invariants have numbers, by which `./run chaos` and docs/reliability.md name them:

    I1  each job has ended in one final state        I5  counters and rollups equal the tables
    I2  a result if and only if it succeeded         I6  no key anywhere, prompts where they belong
    I3  requests <= attempts rows <= what is allowed I7  no row that came in is gone
    I4  our bill is the provider's bill              I8  jobs of a dead worker are rescued in time
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from promptmill.schema.instants import known_instant
from promptmill.schema.outcomes import AttemptOutcome, ErrorKind
from promptmill.schema.states import FINAL_STATES, JobState
from promptmill.simulator import Row
from tests.schema.scene import assert_sums
from tests.services.leaks import assert_nothing_leaks
from tests.services.running_mill import MODELS, RunningMill
from tests.services.waiting import wait_until

Job = Mapping[str, Any]
Attempt = Mapping[str, Any]
Attempts = Mapping[tuple[int, int], Attempt]
"""by job and fence"""

RESCUE_SLACK_S = 1.0
_COSTS_TOKENS = {AttemptOutcome.SUCCEEDED, AttemptOutcome.LATE}
_ANOTHER_AFTER = {
    ErrorKind.RATE,
    ErrorKind.OVERLOADED,
    ErrorKind.DAILY,
    ErrorKind.TRANSIENT,
    ErrorKind.MONEY,
    ErrorKind.KEY,
    ErrorKind.BAD_RESPONSE,
}
"""refusals after which the policy sends a job again"""
_UNKNOWN_OR_LATE = {AttemptOutcome.UNKNOWN, AttemptOutcome.LATE}
VECTORS = "embedder-"
"""how our names of the calls for vectors begin"""
_DOLLARS_PER_MILLION = {
    # input and output, from the providers' own price pages, not from where the product has them
    ("openai", "gpt-4o-mini"): (0.15, 0.60),
    ("anthropic", "claude-sonnet-4-5"): (3.00, 15.00),
    ("gemini", "gemini-2.5-flash"): (0.30, 2.50),
    ("openai", "text-embedding-3-small"): (0.02, 0.0),
    ("gemini", "gemini-embedding-001"): (0.15, 0.0),
    ("openai", "gpt-image-1"): (5.00, 40.00),
}


def assert_world(
    mill: RunningMill,
    *,
    unbooked: int = 0,
    ended: bool = True,
    events: Iterable[Any] = (),
    away_s: float = 0.0,
) -> None:
    """Compare SQL with the simulator's bill and with itself, and look for what must not leak.

    *unbooked*: how many billed answers may be missing from the books, since their worker was
    killed (or told to stop at once) with the call open. *ended*: every job must have ended.
    *away_s*: for how long nobody could rescue, since SQL or the dispatcher was away.
    """
    jobs = {row["id"]: row for row in mill.sql("select * from jobs")}
    attempts = {(row["job_id"], row["fence"]): row for row in mill.sql("select * from attempts")}
    results = {row["job_id"]: row for row in mill.sql("select * from results")}
    sent = _sent(mill)
    _assert_nothing_is_lost(mill, jobs, ended=ended)
    _assert_one_answer(jobs, results, attempts)
    _assert_no_hidden_call(mill, jobs, attempts, sent)
    _assert_the_bill_is_booked(attempts, sent, unbooked=unbooked)
    _assert_vectors_are_booked(mill)
    with mill.database.read() as connection:
        assert_sums(connection)
    assert_rescued_in_time(mill, slack_s=RESCUE_SLACK_S + away_s)
    assert_nothing_leaks(mill, events)


def paid_again(mill: RunningMill) -> int:
    """Count the billed answers beyond the first of each job."""
    billed = Counter(job_id for (job_id, _), rows in _sent(mill).items() if rows[0].billed)
    return sum(times - 1 for times in billed.values())


def assert_rescued_in_time(mill: RunningMill, *, slack_s: float) -> None:
    """I8: from a worker's last beat to the rescue, at most a beat, a lease and a sweep."""
    settings = mill.settings
    allowed_s = settings.worker.beat_s + settings.dispatch.lease_s + settings.dispatch.sweep_s
    lost = mill.sql(
        "select a.job_id, a.ended_at, w.beat_at from attempts a"
        " join workers w on w.id = a.worker_id where a.error_code = 'worker_lost'"
    )
    for row in lost:
        took = known_instant(row["ended_at"]) - known_instant(row["beat_at"])
        assert took.total_seconds() <= allowed_s + slack_s, f"rescued after {took}: {row}"


def _assert_nothing_is_lost(mill: RunningMill, jobs: Mapping[int, Job], *, ended: bool) -> None:
    """I1 and I7."""
    loaded = mill.sql("select coalesce(sum(total), 0) as n from batches where state <> 'loading'")
    assert len(jobs) == loaded[0]["n"], f"{len(jobs)} jobs of {loaded[0]['n']} are there"
    payloads = {row["job_id"] for row in mill.sql("select job_id from job_payloads")}
    assert payloads == jobs.keys(), f"without a payload: {jobs.keys() - payloads}"
    left = Counter(JobState(job["state"]).word for job in jobs.values())
    if ended:
        assert left.keys() <= {state.word for state in FINAL_STATES}, f"not ended: {left}"
        owned = mill.sql("select count(*) as n from attempts where outcome = 0")
        assert owned[0]["n"] == 0, "an attempt is still open"
        spool = mill.settings.spool_dir
        wait_until(lambda: not any(spool.glob("*")), f"SQL to take all that lies in {spool}")


def _assert_one_answer(
    jobs: Mapping[int, Job], results: Mapping[int, Mapping[str, Any]], attempts: Attempts
) -> None:
    """I2."""
    answered = {job_id for job_id, job in jobs.items() if job["state"] == JobState.SUCCEEDED}
    assert results.keys() == answered, (
        f"a result or a success without the other: {results.keys() ^ answered}"
    )
    for job_id, result in results.items():
        assert result["fence"] == jobs[job_id]["fence"], f"job {job_id} has another run's result"
    succeeded = {at for at, row in attempts.items() if row["outcome"] == AttemptOutcome.SUCCEEDED}
    winners = {(job_id, result["fence"]) for job_id, result in results.items()}
    taken = {at for at in winners if jobs[at[0]]["twin_of"] is not None}
    assert succeeded == winners - taken, (
        f"what no result has, or no attempt: {succeeded ^ (winners - taken)}"
    )
    for at in taken:
        other = jobs[at[0]]["twin_of"]
        assert attempts[at]["outcome"] == AttemptOutcome.NOT_SENT, f"taken, and called: {at}"
        assert attempts[at]["cost_micros"] == 0, f"taken, and paid: {attempts[at]}"
        assert jobs[other]["twin_of"] is None, f"job {at[0]} has the answer of a taker"
        assert results[at[0]]["text"] == results[other]["text"], f"job {at[0]} has another answer"


def _assert_no_hidden_call(
    mill: RunningMill,
    jobs: Mapping[int, Job],
    attempts: Attempts,
    sent: Mapping[tuple[int, int], Sequence[Row]],
) -> None:
    """I3."""
    for at, rows in sent.items():
        assert len(rows) == 1, f"attempt {at} was sent {len(rows)} times"
        assert at in attempts, f"a request of {at} has no row in attempts"
        assert attempts[at]["outcome"] != AttemptOutcome.NOT_SENT, f"{at} was sent after all"
    holds = {row["id"] for row in mill.sql("select id from batches where on_unknown = 'hold'")}
    cuts = {row["id"] for row in mill.sql("select id from batches where truncate is not null")}
    tries = defaultdict(list)
    for (job_id, _), attempt in sorted(attempts.items()):
        if attempt["outcome"] != AttemptOutcome.NOT_SENT:
            tries[job_id].append(attempt)
    for job_id, rows_of_job in tries.items():
        job = jobs[job_id]
        # A replay is a person's order to pay again, and starts the counts anew.
        if job["generation"] == 0:
            held, cut = job["batch_id"] in holds, job["batch_id"] in cuts
            _assert_allowed(mill, job, rows_of_job, holds=held, cuts=cut)


def _assert_allowed(
    mill: RunningMill, job: Job, tries: Sequence[Attempt], *, holds: bool, cuts: bool
) -> None:
    """Each try but the last is one after which the policy sends again, and they are counted."""
    policy, job_id = mill.settings.retry, job["id"]
    stopped = sum(row["error_kind"] in (ErrorKind.MONEY, ErrorKind.KEY) for row in tries)
    allowed = job["attempts"] + job["refusals"] + job["crashes"] + stopped
    assert len(tries) <= allowed, f"job {job_id} was tried {len(tries)} times, {allowed} allowed"
    assert job["attempts"] <= policy.max_attempts, f"job {job_id}: {job['attempts']} attempts"
    assert job["refusals"] <= policy.max_refusals, f"job {job_id}: {job['refusals']} refusals"
    assert job["crashes"] <= policy.max_crashes, f"job {job_id}: {job['crashes']} crashes"
    for row in tries[:-1]:
        unknown = row["outcome"] in _UNKNOWN_OR_LATE
        assert not (unknown and holds), f"job {job_id} was sent again, and should be held: {row}"
        # A refusal that came after its worker was taken for dead stands for an unknown outcome.
        again = unknown or row["error_kind"] in _ANOTHER_AFTER or job["crashes"] > 0
        goes_on = cuts or job["fell_back_from"] is not None
        again = again or (goes_on and row["error_kind"] == ErrorKind.REQUEST)
        assert again, f"job {job_id} was sent again after {row}"


def _assert_the_bill_is_booked(
    attempts: Attempts, sent: Mapping[tuple[int, int], Sequence[Row]], *, unbooked: int
) -> None:
    """I4."""
    missing = []
    for at, (row, *_) in sent.items():
        attempt = attempts[at]
        booked = (attempt["input_tokens"] or 0, attempt["output_tokens"] or 0)
        if not row.billed:
            assert attempt["outcome"] not in _COSTS_TOKENS, f"booked, not billed: {row}"
        elif booked == (row.input_tokens, row.output_tokens):
            _assert_priced(attempt, row)
        else:
            # What a raw answer says of its usage is the test's own invention.
            excused = attempt["error_kind"] or row.fault == "raw"
            assert attempt["outcome"] == AttemptOutcome.UNKNOWN or excused, (
                f"attempt {at} booked {booked} of {row}"
            )
            if row.complete and not row.fault:
                missing.append(at)
    assert len(missing) <= unbooked, f"answers that were paid for and thrown away: {missing}"
    for at in attempts.keys() - sent.keys():
        assert not attempts[at]["output_tokens"], f"booked, and never asked: {attempts[at]}"


def _assert_vectors_are_booked(mill: RunningMill) -> None:
    """I3 and I4 of the calls for vectors, which are of no job."""
    calls = {f"{VECTORS}{row['id']}": row for row in mill.sql("select * from embedder_calls")}
    sent = [row for row in mill.simulator.bill() if row.client_request_id.startswith(VECTORS)]
    assert len({row.client_request_id for row in sent}) == len(sent), "vectors asked for twice"
    for row in sent:
        call = calls.pop(row.client_request_id)
        if row.billed and call["outcome"] != AttemptOutcome.UNKNOWN:
            assert call["input_tokens"] == row.input_tokens, f"booked {call} of {row}"
            _assert_priced(call, row)
    unsent = [call for call in calls.values() if call["outcome"] != AttemptOutcome.NOT_SENT]
    assert unsent == [], "vectors that were never asked for"


def _assert_priced(attempt: Attempt, row: Row) -> None:
    rates = _DOLLARS_PER_MILLION.get((attempt["provider"], attempt["model"]))
    cost = attempt["cost_micros"]
    if rates is None:
        assert cost is None, f"a price that nobody knows: {attempt}"
    else:
        price = 0.5 if row.half_price else 1.0
        true = price * (row.input_tokens * rates[0] + row.output_tokens * rates[1])
        assert cost is not None, f"paid {true} millionths of a dollar, and booked none: {attempt}"
        assert abs(cost - true) <= 0.5 + 1e-9, f"booked {cost} of {true} micro-dollars: {attempt}"


def _sent(mill: RunningMill) -> dict[tuple[int, int], list[Row]]:
    """Group the simulator's bill by our names of the calls."""
    sent = defaultdict(list)
    for row in mill.simulator.bill():
        if row.client_request_id.startswith(VECTORS):
            continue
        batch_id, job_id, fence = row.client_request_id.split("-")
        assert batch_id.isdecimal()
        sent[int(job_id), int(fence)].append(row)
    return sent


assert {model for _, model in _DOLLARS_PER_MILLION} >= set(MODELS.values())
