"""When all calls of a model fail, it is the provider's trouble and no job's."""

from dataclasses import replace

import pytest

from promptmill.schema.outcomes import ErrorKind
from promptmill.workers.limits.limit import Booked, Estimate, Scope
from promptmill.workers.outages import ROW, Health, Outages, Told
from promptmill.workers.providers.base import Answer, Refusal

SCOPE = Scope("openai", "gpt-test", "account", limits=(), concurrency=10)
ANSWER = Answer(text="four", finish_reason="stop", usage=None)
PATIENCE_S = 60.0


class Watch:
    """Outages on a clock that stands still until told to go on; job after job fails."""

    def __init__(self) -> None:
        self.now, self.jobs = 0.0, 0
        self.outages = Outages(patience_s=PATIENCE_S, clock=lambda: self.now)

    def fail(
        self,
        times: int = 1,
        *,
        kind: ErrorKind = ErrorKind.TRANSIENT,
        scope: Scope = SCOPE,
        job: int | None = None,
    ) -> Health:
        for _ in range(times):
            self.jobs += 1
            refusal = Refusal(kind, "why", http_status=500)
            health = self.outages.observe(scope, self.jobs if job is None else job, refusal)
        return health

    def answer(self) -> Health:
        return self.outages.observe(SCOPE, 0, ANSWER)


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_failures_in_a_row_are_an_outage(watch: Watch) -> None:
    assert watch.fail(ROW - 1) is Health.WELL
    assert watch.fail() is Health.DOWN
    assert watch.fail() is Health.DOWN


def test_an_answer_ends_it(watch: Watch) -> None:
    watch.fail(ROW)
    assert watch.answer() is Health.WELL
    assert watch.fail(ROW - 1) is Health.WELL


@pytest.mark.parametrize("kind", [ErrorKind.REQUEST, ErrorKind.BAD_RESPONSE])
def test_who_answers_that_a_request_is_wrong_is_there(watch: Watch, kind: ErrorKind) -> None:
    watch.fail(ROW - 1)
    assert watch.fail(kind=kind) is Health.WELL
    assert watch.fail() is Health.WELL


@pytest.mark.parametrize("kind", [ErrorKind.RATE, ErrorKind.OVERLOADED, ErrorKind.UNKNOWN])
def test_other_refusals_neither_begin_nor_end_it(watch: Watch, kind: ErrorKind) -> None:
    assert watch.fail(2 * ROW, kind=kind) is Health.WELL
    watch.fail(ROW - 1)
    assert watch.fail(kind=kind) is Health.WELL
    assert watch.fail() is Health.DOWN


def test_overloads_with_hours_between_are_two(watch: Watch) -> None:
    for _ in range(3):
        watch.fail(kind=ErrorKind.OVERLOADED)
        watch.now += 200
    assert watch.outages.lasts_s(SCOPE) == 600
    watch.now += 7200
    watch.fail(kind=ErrorKind.OVERLOADED)
    assert watch.outages.lasts_s(SCOPE) == 0


def test_a_few_jobs_that_always_fail_are_none(watch: Watch) -> None:
    for job in [1, 2, 3] * ROW:
        assert watch.fail(job=job) is Health.WELL


def test_each_model_has_its_own(watch: Watch) -> None:
    watch.fail(ROW)
    assert watch.fail(scope=replace(SCOPE, model="another")) is Health.WELL


def test_attempts_count_again_when_it_lasts(watch: Watch) -> None:
    watch.fail(ROW)
    watch.now = PATIENCE_S - 1
    assert watch.fail() is Health.DOWN
    watch.now = PATIENCE_S
    assert watch.fail() is Health.DOWN_FOR_LONG
    watch.answer()
    assert watch.fail(ROW) is Health.DOWN


def booked(plan: int, epoch: int = 1) -> Booked:
    return Booked(
        booking_id="b",
        scope=SCOPE,
        estimate=Estimate(1, None),
        costs=(),
        start=0.0,
        start_us=0,
        plan=plan,
        serial=1,
        before_us=0,
        epoch=epoch,
    )


def test_a_pause_is_told_once_for_calls_that_were_booked_together() -> None:
    told = Told()
    refused = [booked(1), booked(1), booked(2), booked(2), booked(1, epoch=2)]
    assert [told.is_new(SCOPE, each) for each in refused] == [True, False, True, False, True]
