"""Workers that crash, sleep and come back, doubled hints, sweeps, cancels, replays, in any order.

What the machine remembers is what the outside world knows: which calls were made and billed, and
who holds which claim. SQL must agree with it after every step.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import Connection

from promptmill.schema.database import Database
from promptmill.schema.hint import Hint
from promptmill.schema.instants import known_instant
from promptmill.schema.moves import closing, endings, queueing, rerouting, steering
from promptmill.schema.moves.claiming import claim
from promptmill.schema.moves.endings import Closing
from promptmill.schema.moves.loading import create_batch, insert_jobs, open_batch
from promptmill.schema.moves.rescuing import rescue, running_of
from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.states import FINAL_STATES, JobState
from tests.schema import scene
from tests.schema.scene import MODEL, PROVIDER, Clock, assert_sums, rows_of

MAX_CRASHES = 3
OTHER = ("anthropic", "claude-test")
MEMBER = "openai-b"
"""of a pool, where jobs are dealt to it; else `PROVIDER` is who is asked"""
ENDS = ["finish", "retry", "snooze", "fail", "hold", "fall back"]
WORKERS = st.sampled_from(["w1", "w2"])


@dataclass
class Flight:
    """A claim as the worker holds it, whether or not SQL still agrees."""

    job_id: int
    fence: int
    worker: str
    leased: bool = True
    """nobody but its worker has ended it"""
    billed: int = 0
    """micro-dollars"""


class Moves(RuleBasedStateMachine):
    """The moves of four jobs in two batches: one retries what is unknown, one holds it."""

    database: ClassVar[Database]
    prepare: ClassVar[Callable[[Connection], None] | None] = None
    """what a seeded bug does to the database first"""

    def __init__(self) -> None:
        super().__init__()
        # One transaction for a whole example: it is rolled back, so the next one starts empty.
        self.transaction = self.database.write()
        connection = self.transaction.__enter__()
        self.clock = Clock()
        self.sql = connection.execution_options(now=self.clock)
        if type(self).prepare is not None:
            type(self).prepare(self.sql)  # type: ignore[misc]
        self.batches = [self.load("retry", 3), self.load("hold", 1)]
        self.jobs = [row.id for row in rows_of(self.sql, "select id from jobs order by id")]
        self.hints: list[Hint] = []
        self.flights: list[Flight] = []
        self.calls: Counter[int] = Counter()
        self.reported = 0
        self.answered: list[Closing] = []
        self.ends: dict[tuple[int, int], int] = {}
        self.crashes: dict[tuple[int, int], int] = {}
        """how many were open in it, by the job and the fence that it had in its last crash"""

    def load(self, on_unknown: str, count: int) -> int:
        batch = scene.new_batch(on_unknown, on_unknown=on_unknown, total=count)
        batch_id = create_batch(self.sql, batch)
        insert_jobs(self.sql, batch_id, scene.new_jobs(count))
        open_batch(self.sql, batch_id)
        return batch_id

    def teardown(self) -> None:
        self.sql.rollback()
        self.transaction.__exit__(None, None, None)

    # Time, dispatch and hints

    @rule(seconds=st.sampled_from([0.5, 4, 60]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(most=st.integers(1, 3), to=st.sampled_from([PROVIDER, MEMBER]))
    def dispatch(self, most: int, to: str = PROVIDER) -> None:
        queued = []
        for provider, model, whose in (PROVIDER, MODEL, to), (*OTHER, OTHER[0]):
            scope = {"provider": provider, "model": model, "to": whose}
            queued += queueing.queue_waiting(self.sql, **scope, most=most)
            for batch_id in self.batches:
                queued += queueing.queue_pending(self.sql, batch_id=batch_id, **scope, most=most)
        assert {job.provider for job in queued} <= {to, OTHER[0]}
        self.hints += [row.hint for row in queued]

    @precondition(lambda self: self.hints)
    @rule(data=st.data())
    def take_back_a_hint(self, data: st.DataObject) -> None:
        queueing.unqueue(self.sql, [data.draw(st.sampled_from(self.hints))])

    @precondition(lambda self: self.hints)
    @rule(data=st.data(), delay=st.sampled_from([1, 2.5]))
    def postpone_a_hint(self, data: st.DataObject, delay: float) -> None:
        queueing.postpone(self.sql, [(data.draw(st.sampled_from(self.hints)), delay)])

    @rule(most=st.integers(1, 3))
    def a_member_gives_back(self, most: int) -> None:
        queueing.give_back(self.sql, provider=MEMBER, model=MODEL, pool=PROVIDER, most=most)

    @rule(batch=st.integers(0, 1), back=st.booleans())
    def a_provider_is_paused(self, batch: int, back: bool) -> None:
        asked, other = f"{PROVIDER}/{MODEL}", "/".join(OTHER)
        now, to = (other, asked) if back else (asked, other)
        rerouting.reroute(self.sql, rerouting.Detour(self.batches[batch], asked, now, to), most=2)

    # Workers

    @precondition(lambda self: self.hints)
    @rule(data=st.data(), worker=WORKERS)
    def a_hint_comes(self, data: st.DataObject, worker: str) -> None:
        """Perhaps for the second time, perhaps late: hints are never used up."""
        hints = data.draw(st.lists(st.sampled_from(self.hints[-6:]), min_size=1, max_size=2))
        self.take(hints, worker)

    def take(self, hints: list[Hint], worker: str) -> list[Flight]:
        due = self.due()
        fences = claim(self.sql, [(hint, "key") for hint in hints], worker_id=worker)
        assert fences.keys() <= due, "what is claimed was queued or due, in an open batch"
        taken = [Flight(job_id, fence, worker) for job_id, fence in fences.items()]
        self.flights += taken
        return taken

    def due(self) -> set[int]:
        rows = rows_of(
            self.sql,
            "select j.id, j.run_at from jobs j join batches b on b.id = j.batch_id"
            " where b.state = 'open' and j.state in (1, 3)",
        )
        now = self.clock.at
        return {row.id for row in rows if not row.run_at or known_instant(row.run_at) <= now}

    @precondition(lambda self: any(not flight.billed for flight in self.flights))
    @rule(data=st.data(), cost=st.sampled_from([7, 11]))
    def a_call_is_billed(self, data: st.DataObject, cost: int) -> None:
        open_flights = [flight for flight in self.flights if not flight.billed]
        self.bill(data.draw(st.sampled_from(open_flights)), cost)

    def bill(self, flight: Flight, cost: int = 7) -> None:
        flight.billed = cost
        self.calls[flight.job_id] += 1

    @precondition(lambda self: any(flight.billed for flight in self.flights))
    @rule(data=st.data(), how=st.sampled_from(ENDS))
    def an_answer_comes(self, data: st.DataObject, how: str) -> None:
        """Perhaps to a worker that slept so long that its job was taken from it."""
        billed = [flight for flight in self.flights if flight.billed]
        self.end(data.draw(st.sampled_from(billed)), how)

    @precondition(lambda self: any(not flight.billed for flight in self.flights))
    @rule(data=st.data(), how=st.sampled_from(["keep", "unclaim"]))
    def a_claim_is_given_back_unsent(self, data: st.DataObject, how: str) -> None:
        unsent = [flight for flight in self.flights if not flight.billed]
        self.end(data.draw(st.sampled_from(unsent)), how)

    def end(self, flight: Flight, how: str) -> None:
        self.flights.remove(flight)
        self.reported += flight.billed
        job_id, fence, cost = flight.job_id, flight.fence, flight.billed
        match how:
            case "finish":
                attempted = replace(scene.ANSWERED, cost_micros=cost)
                ended = endings.finish(job_id, fence, attempted, scene.ANSWER)
            case "retry":
                ended = endings.retry(job_id, fence, replace(scene.BROKEN, cost_micros=cost), 2)
            case "snooze":
                ended = endings.snooze(job_id, fence, replace(scene.BUSY, cost_micros=cost), 2.5)
            case "fail":
                ended = endings.fail(job_id, fence, replace(scene.REFUSED, cost_micros=cost))
            case "hold":
                ended = endings.hold(job_id, fence, replace(scene.CUT, cost_micros=cost))
            case "fall back":
                refused = replace(scene.REFUSED, cost_micros=cost)
                ended = endings.fall_back(job_id, fence, refused, "/".join(OTHER))
            case "unclaim":
                ended = endings.unclaim(job_id, fence, scene.UNSENT)
            case _:
                ended = endings.keep(job_id, fence, scene.UNSENT)
        self.answered.append(ended)
        moved = closing.close(self.sql, [ended], worker_id=flight.worker)
        assert not flight.leased or moved == {job_id}, "who holds the lease can end it"

    @precondition(lambda self: self.answered)
    @rule(data=st.data())
    def a_close_is_repeated(self, data: st.DataObject) -> None:
        """Its commit went through, and the answer to it was lost."""
        before = self.rows()
        repeated = data.draw(st.sampled_from(self.answered))
        moved = closing.close(self.sql, [repeated], worker_id="w1")
        assert not moved
        assert self.rows() == before, "a repeated close changes nothing"

    def rows(self) -> list[Any]:
        tables = ("jobs", "attempts", "results")
        return [rows_of(self.sql, f"select * from {name} order by 1, 2") for name in tables]

    # Crashes and rescues

    @rule(worker=WORKERS, slept=st.booleans())
    def a_worker_is_declared_dead(self, worker: str, slept: bool) -> None:
        """It crashed, and what it had open is lost; or it only slept, and goes on as a zombie."""
        if not slept:
            self.flights = [flight for flight in self.flights if flight.worker != worker]
        lost = running_of(self.sql, worker, most=100)
        rescue(
            self.sql,
            lost,
            worker_id=worker,
            alone=len(lost) == 1,
            max_crashes=MAX_CRASHES,
            reason="silent",
        )
        for job_id, fence in lost:
            self.crashes[job_id, fence] = len(lost)
        for flight in self.flights:
            flight.leased &= flight.worker != worker

    # Deep ways that single random steps hardly ever find

    def get(self, worker: str) -> list[Flight]:
        """Let time pass, dispatch, and let *worker* claim all it can."""
        self.clock.advance(5)
        self.dispatch(3)
        return self.take(self.hints[-4:], worker)

    @rule(rounds=st.integers(1, 4))
    def jobs_that_kill_their_workers(self, rounds: int) -> None:
        for _ in range(rounds):
            self.get("w1")
            self.a_worker_is_declared_dead("w1", slept=False)

    @rule(
        how=st.sampled_from(["finish", "fail", "retry"]),
        rival=st.sampled_from(["nobody", "still runs", "gave up"]),
    )
    def a_zombie_comes_back(self, how: str, rival: str) -> None:
        taken = self.get("w1")
        for flight in taken:
            self.bill(flight)
        self.a_worker_is_declared_dead("w1", slept=True)
        rivals = [] if rival == "nobody" else self.get("w2")
        if rival == "gave up":
            for flight in rivals:
                self.end(flight, "keep")
        for flight in taken:
            self.end(flight, how)

    @rule()
    def a_hint_comes_again_while_its_job_waits(self) -> None:
        for flight in self.get("w1"):
            self.bill(flight)
            self.end(flight, "retry")
        self.take(self.hints[-4:], "w2")

    # People

    @rule(batch=st.integers(0, 1))
    def a_person_cancels(self, batch: int) -> None:
        steering.cancel_batch(self.sql, self.batches[batch])
        self.take(self.hints[-4:], "w2")
        steering.cancel_jobs(self.sql, self.batches[batch])

    @rule(batch=st.integers(0, 1), states=st.sampled_from([*FINAL_STATES]))
    def a_person_replays(self, batch: int, states: JobState) -> None:
        steering.replay_jobs(self.sql, self.batches[batch], [states])

    @rule(batch=st.integers(0, 1), pause=st.booleans())
    def a_person_pauses_or_resumes(self, batch: int, pause: bool) -> None:
        if pause:
            steering.pause_batch(self.sql, self.batches[batch], "user")
        else:
            steering.resume_batch(self.sql, self.batches[batch])
        self.take(self.hints[-4:], "w2")

    # What always holds

    @invariant()
    def each_generation_has_one_end(self) -> None:
        jobs = rows_of(self.sql, "select id, generation, state from jobs")
        for job in jobs:
            key = (job.id, job.generation)
            if key in self.ends:
                assert job.state == self.ends[key], "an end is an end"
            if job.state in FINAL_STATES:
                self.ends[key] = job.state

    @invariant()
    def a_job_has_a_result_if_and_only_if_it_succeeded(self) -> None:
        succeeded = rows_of(self.sql, "select id, fence from jobs where state = 4 order by id")
        results = rows_of(
            self.sql,
            f"""select r.job_id as id, r.fence from results r join attempts a
on a.job_id = r.job_id and a.fence = r.fence and a.outcome = {AttemptOutcome.SUCCEEDED.value}
order by r.job_id""",
        )
        assert results == succeeded, "one result each, by the fence that won"
        stored = rows_of(self.sql, "select job_id as id, fence from results order by job_id")
        assert stored == results
        winners = rows_of(self.sql, "select job_id as id from attempts where outcome = 1")
        assert len(winners) == len(results), "only a stored answer is called succeeded"

    @invariant()
    def no_call_is_hidden_and_every_reported_cost_is_booked(self) -> None:
        rows = rows_of(
            self.sql,
            "select job_id, count(*) as n, sum(cost_micros) as cost from attempts group by job_id",
        )
        known = {row.job_id: row.n for row in rows}
        assert all(known.get(job_id, 0) >= calls for job_id, calls in self.calls.items())
        assert sum(row.cost or 0 for row in rows) == self.reported, "the bill is the attempts'"

    @invariant()
    def only_its_own_end_or_its_rescue_ends_a_lease(self) -> None:
        jobs = {row.id: row for row in rows_of(self.sql, "select * from jobs")}
        for flight in self.flights:
            job = jobs[flight.job_id]
            held = (job.state, job.fence, job.lease_owner)
            if flight.leased:
                assert held == (JobState.RUNNING, flight.fence, flight.worker)

    @invariant()
    def who_runs_has_an_open_intent(self) -> None:
        running = rows_of(
            self.sql, "select id, fence, lease_owner as w from jobs where state = 2 order by id"
        )
        intents = rows_of(
            self.sql,
            "select job_id as id, fence, worker_id as w from attempts where outcome = 0 order by 1",
        )
        assert running == intents

    @invariant()
    def poison_is_quarantined(self) -> None:
        """After three crashes, if it was alone in the last; after one where unknown is held."""
        crashed = rows_of(
            self.sql,
            "select id, fence, batch_id, crashes, state from jobs"
            " where crashes > 0 and state not in (4, 6)",
        )
        for job in crashed:
            beside = self.crashes.get((job.id, job.fence), 0)
            if not beside:
                continue  # claimed since, and so not ended by that crash
            most = MAX_CRASHES if beside == 1 else 2 * MAX_CRASHES
            allowed = most if job.batch_id == self.batches[0] else 1
            is_held = job.state == JobState.QUARANTINED
            assert is_held == (job.crashes >= allowed), "held for a person, and no other"

    @invariant()
    def what_nobody_works_on_is_its_pools(self) -> None:
        rows = rows_of(
            self.sql,
            "select j.provider, j.pool, j.state, j.fell_back_from, a.provider as asked from jobs j"
            " left join results r on r.job_id = j.id"
            " left join attempts a on a.job_id = j.id and a.fence = coalesce(r.fence, j.fence)",
        )
        for job in rows:
            assert job.pool in (None, PROVIDER)
            assert job.fell_back_from in (None, f"{PROVIDER}/{MODEL}", "/".join(OTHER))
            if job.state in (JobState.PENDING, JobState.WAITING):
                assert job.provider in (PROVIDER, OTHER[0])
            elif job.state in (JobState.RUNNING, JobState.SUCCEEDED):
                assert job.provider == job.asked, "who was asked is who is named"

    @invariant()
    def sums_are_kept(self) -> None:
        assert_sums(self.sql)
