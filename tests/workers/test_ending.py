"""What becomes of a reply that SQL refuses: it was paid for, so it is kept, never bought again."""

import asyncio
import base64
import random
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from promptmill.schema.hint import Hint
from promptmill.schema.outcomes import ErrorKind, Usage
from promptmill.schema.reading import due_jobs
from promptmill.schema.secret import Secret
from promptmill.schema.settings import CacheSettings, ProviderKind, ProviderSettings, RetrySettings
from promptmill.workers.bench import BatchPause, Bench, KeyPause, Report
from promptmill.workers.deadlines import Deadlines
from promptmill.workers.ending import end
from promptmill.workers.files import AnswerFiles
from promptmill.workers.limits.connection import connect
from promptmill.workers.limits.permits import Permits
from promptmill.workers.outages import Outages
from promptmill.workers.providers.base import Answer, Refusal
from promptmill.workers.providers.http import open_http
from promptmill.workers.recorder import Recorder
from promptmill.workers.references import References
from promptmill.workers.same_failures import SameFailures
from promptmill.workers.served import serve
from promptmill.workers.similarity import Similarity
from promptmill.workers.slots import Slots
from promptmill.workers.spool import Spool
from tests.schema.scene import Scene
from tests.services.valkey import Valkey

HALF_A_PAIR = "half a pair: \ud83d"
NO_TEXT: Any = None
"""for a column that must have one: no adapter says so, and both engines refuse it"""


@pytest.fixture
def recorder(scene: Scene, spool: Spool) -> Iterator[Recorder]:
    recorder = Recorder(scene.database, worker_id="w1", group_rows=50, group_s=0.0, spool=spool)
    yield recorder
    recorder.stop(10)


async def do_not_pause(_pause: KeyPause | BatchPause) -> None:
    """Leave SQL as it is."""


def end_with(
    reply: Answer | Refusal,
    scene: Scene,
    recorder: Recorder,
    valkey: Valkey,
    *,
    pause: Callable[[KeyPause | BatchPause], Awaitable[None]] = do_not_pause,
) -> tuple[Report, int, int]:
    """Claim a new job and end it with *reply*; return the report, the job and the fence."""
    (hint,) = scene.queue(scene.load())
    with scene.database.read() as connection:
        (job,) = due_jobs(connection, [hint])
    fence = scene.claim(hint)[hint.job_id]

    async def carry_out() -> Report:
        redis, http = connect(valkey.url), open_http(concurrency=1)
        settings = ProviderSettings(kind=ProviderKind.OPENAI, api_key=Secret("sk-test"))
        served = serve("openai", settings, http)
        bench = Bench(
            background_s=1.0,
            poll_s=0.01,
            recorder=recorder,
            permits=Permits(redis, prefix="test:", kinds={"openai": ProviderKind.OPENAI}),
            references=References(redis, prefix="test:", read_secret=bytes),
            similarity=Similarity(CacheSettings(), scene.database),
            policy=RetrySettings(),
            deadlines=Deadlines(most_s=1.0, factor=0.0),
            slots=Slots(1),
            calls=Slots(1),
            rng=random.Random(1),
            pause=pause,
            files=AnswerFiles(Path("unused")),
            outages=Outages(patience_s=60.0, clock=monotonic),
            same_failures=SameFailures(20),
        )
        try:
            return await end(
                bench,
                served,
                job,
                fence=fence,
                scope=served.scope(job.model),
                reply=reply,
                latency_s=0.5,
            )
        finally:
            await redis.aclose()
            await http.aclose()

    return asyncio.run(carry_out()), hint.job_id, fence


def test_every_text_of_an_answer_is_cleaned_for_sql(
    scene: Scene, recorder: Recorder, valkey: Valkey
) -> None:
    strange = HALF_A_PAIR + "\x00"
    answer = Answer(
        text=strange,
        finish_reason=strange,
        usage=Usage(1, 1),
        response_model=strange,
        response_id=strange,
        request_id=strange,
        tool_calls=({"name": strange},),
    )
    _report, job_id, fence = end_with(answer, scene, recorder, valkey)
    assert scene.job(job_id).state == 4
    clean = "half a pair: \ufffd\ufffd"
    result = scene.result(job_id)
    assert (result.text, result.finish_reason, result.response_model) == (clean, clean, clean)
    assert scene.attempt(job_id, fence).request_id == clean


def test_every_text_of_a_refusal_is_cleaned_for_sql(
    scene: Scene, recorder: Recorder, valkey: Valkey
) -> None:
    refusal = Refusal(ErrorKind.REQUEST, HALF_A_PAIR, code="\x00", request_id=HALF_A_PAIR)
    _report, job_id, fence = end_with(refusal, scene, recorder, valkey)
    assert scene.job(job_id).state == 5
    assert scene.attempt(job_id, fence).error_text == "half a pair: \ufffd"


def test_token_counts_that_no_bill_can_hold_are_unknown(
    scene: Scene, recorder: Recorder, valkey: Valkey
) -> None:
    answer = Answer(text="four", finish_reason="stop", usage=Usage(2**80, 1))
    _report, job_id, fence = end_with(answer, scene, recorder, valkey)
    assert scene.job(job_id).state == 4
    attempt = scene.attempt(job_id, fence)
    assert (attempt.input_tokens, attempt.cost_micros) == (None, None)


def test_a_reply_that_sql_refuses_is_held_with_what_came(
    scene: Scene, recorder: Recorder, valkey: Valkey
) -> None:
    answer = Answer(text="four", finish_reason=NO_TEXT, usage=Usage(2, 1))
    report, job_id, fence = end_with(answer, scene, recorder, valkey)
    assert report.failed
    assert scene.job(job_id).state == 7
    attempt = scene.attempt(job_id, fence)
    assert (attempt.error_kind, attempt.error_code) == ("bad_response", "unstorable")
    (body,) = scene.sql("select * from attempt_bodies")
    assert base64.b64decode(body.body_base64) == b"four"
    scene.assert_sums()


def test_the_hint_of_a_held_job_is_stale(scene: Scene, recorder: Recorder, valkey: Valkey) -> None:
    answer = Answer(text="four", finish_reason=NO_TEXT, usage=Usage(2, 1))
    _report, job_id, _fence = end_with(answer, scene, recorder, valkey)
    job = scene.job(job_id)
    assert scene.claim(Hint(job_id, job.dispatch_no)) == {}


@pytest.mark.parametrize("kind", [ErrorKind.MONEY, ErrorKind.KEY])
def test_the_key_is_stopped_before_its_job_is_put_back(
    scene: Scene, recorder: Recorder, valkey: Valkey, kind: ErrorKind
) -> None:
    states = []

    async def pause(_pause: KeyPause | BatchPause) -> None:
        await asyncio.sleep(0.05)
        states.append(scene.sql("select state from jobs")[0].state)

    _report, job_id, _fence = end_with(Refusal(kind, "no"), scene, recorder, valkey, pause=pause)
    assert states == [2]
    assert scene.job(job_id).state == 0
