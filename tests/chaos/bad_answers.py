"""What a provider may do to us: R21, R31 to R36, R45, R47."""

import json
import socket
from collections import Counter
from threading import Thread
from typing import Any

from promptmill.producer.control import cancel, resume_provider
from tests.chaos.catalogue import Fault
from tests.chaos.stage import Stage, in_mid_batch, requests_exactly
from tests.crash.answers import GARBLED, UNSTORABLE
from tests.services.running_mill import ANTHROPIC, GEMINI, MODELS, OPENAI
from tests.services.waiting import wait_until
from tests.services.world import assert_world


def unstorable(stage: Stage) -> None:
    """In groups of 50, on both engines."""
    for url in ("", stage.postgres_url()):
        mill = stage.mill(latency_s=0.3, database_url=url, WORKER__CONCURRENCY="50")
        for number, fault in enumerate(UNSTORABLE.values()):
            mill.simulator.add_fault(contains=f"number {10 + number} ", count=1, **fault)
        mill.start_worker(OPENAI)
        batch = mill.load(jobs := stage.size(50, 500))
        stage.judge(mill, batch)
        requests_exactly(mill, batch, jobs)


def refusals(stage: Stage) -> None:
    """429 for most of the calls, with every kind of Retry-After."""
    mill = stage.mill(latency_s=0.05, WORKER__CONCURRENCY="20")
    told = ("1", "0", "-5", "soon", "0.5", "Wed, 21 Oct 2015 07:28:00 GMT", "nan")
    for value in told:
        mill.simulator.add_fault("rate", retry_after=value, probability=0.6, count=5)
    mill.start_worker(OPENAI)
    batch = mill.load(jobs := stage.size(100, 500))
    stage.judge(mill, batch)
    rows = mill.sql("select max(attempts) as most, sum(refusals) as refused from jobs")
    assert rows[0]["most"] == 1, "a refusal used up an attempt"
    requests_exactly(mill, batch, jobs + rows[0]["refused"])
    mill.simulator.add_fault("rate", retry_after="1e400", count=1)
    last = mill.load(1)
    wait_until(lambda: mill.states(last) == {"waiting": 1}, "the job to wait")
    far = mill.sql(
        "select count(*) as n from jobs where run_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now',"
        " '+86410 seconds')"
    )
    assert far[0]["n"] == 0, "a job waits for more than a day because a header said so"
    cancel(mill.database, last)
    wait_until(lambda: mill.states(last) == {"cancelled": 1}, "the cancel")


def endless(stage: Stage) -> None:
    """No answer, or one byte now and then: the deadline of the call holds."""
    mill = stage.mill(WORKER__CONCURRENCY="30", WORKER__CALL_TIMEOUT_S="1.5")
    count = stage.size(6, 30)
    mill.simulator.add_fault("hang", every=8, count=count)
    mill.simulator.add_fault("drip", every=8, count=count, interval_s=0.3)
    mill.start_worker()
    batch = mill.load(jobs := stage.size(120, 600), providers=list(MODELS))
    # Whether a call that we left is billed, and how it ended there, is not for us to know.
    stage.judge(mill, batch, unbooked=2 * count)
    requests_exactly(mill, batch, jobs + 2 * count)
    slowest = mill.sql("select max(latency_ms) as ms from attempts where outcome = 3")[0]["ms"]
    assert slowest <= 2500, f"a call with a deadline of 1.5 s took {slowest} ms"


def half_answers(stage: Stage) -> None:
    mill = stage.mill(latency_s=0.05, WORKER__CONCURRENCY="20")
    kinds = ("cut", "reset", "garbage")
    count = stage.size(5, 30)
    for kind in kinds:
        mill.simulator.add_fault(kind, every=6, count=count)
    mill.start_worker()
    batch = mill.load(jobs := stage.size(150, 900), providers=list(MODELS))
    stage.judge(mill, batch)
    unknown = mill.sql("select count(*) as n from attempts where outcome = 3")[0]["n"]
    assert unknown == len(kinds) * count, f"{unknown} unknown, of {len(kinds) * count}"
    requests_exactly(mill, batch, jobs + unknown)


def garbled(stage: Stage) -> None:
    """Whole answers that make no sense: bought once more at most, never an error of ours."""
    mill = stage.mill(latency_s=0.05, WORKER__CONCURRENCY="20")
    for number, fault in enumerate(GARBLED.values()):
        mill.simulator.add_fault(contains=f"number {10 + number} ", **fault)
    mill.start_worker(OPENAI)
    batch = mill.load(jobs := stage.size(60, 300))
    states = mill.wait_done(batch)
    stage.measure(mill)
    assert states.get("succeeded", 0) + states.get("failed", 0) == jobs, states
    assert_world(mill)
    most = max(
        Counter(row.client_request_id.split("-")[1] for row in mill.simulator.bill()).values()
    )
    assert most <= 2, f"an answer was bought {most} times"
    ours = mill.sql("select error_text from attempts where error_code = 'worker_error'")
    assert not ours, f"our own errors: {[row['error_text'] for row in ours]}"


def key_refused(stage: Stage) -> None:
    mill = stage.mill(latency_s=0.2, WORKER__CONCURRENCY="10")
    batch, _ = in_mid_batch(stage, mill, jobs=stage.size(200, 2000), workers=2)
    for trouble in ("bad_key", "forbidden", "money")[: stage.size(2, 3)]:
        mill.simulator.add_fault(trouble)
        before = mill.requests(batch)
        wait_until(lambda: mill.sql("select 1 from pauses"), "the pause")
        wait_until(lambda: "running" not in mill.states(batch), "open calls to end")
        stage.pause(1)
        went = mill.requests(batch) - before
        assert went <= 3 * 20, f"{went} requests with a key that is refused"
        mill.simulator.clear_faults()
        resume_provider(mill.database, mill.settings, OPENAI)
        part = mill.states(batch).get("succeeded", 0)
        wait_until(lambda: mill.states(batch).get("succeeded", 0) > part, "it to go on")  # noqa: B023
    stage.judge(mill, batch)
    assert not mill.sql("select 1 from jobs where attempts > 1"), "a refused key used up an attempt"


def server_errors(stage: Stage) -> None:
    """The provider answers 500 to everybody for longer than all retries last."""
    mill = stage.mill(latency_s=0.1, WORKER__CONCURRENCY="10")
    batch, _ = in_mid_batch(stage, mill, jobs=(jobs := stage.size(200, 1000)))
    mill.simulator.add_fault("server_error")
    before = mill.requests(batch)
    stage.pause(stage.size(8, 60))
    went = mill.requests(batch) - before
    mill.simulator.clear_faults()
    stage.judge(mill, batch)
    assert went < jobs, f"{went} requests to a provider that is down"


def quoted_secrets(stage: Stage) -> None:
    """Each provider quotes the key and the prompt in each kind of error."""
    mill = stage.mill(latency_s=0, WORKER__CONCURRENCY="5", RETRY__MAX_ATTEMPTS="2")
    mill.start_worker()
    for provider in (OPENAI, ANTHROPIC, GEMINI):
        for status in (200, 400, 401, 403, 404, 429, 500, 529):
            say = f"{provider} {status}"
            quoted = f"You sent {mill.key(provider)} and prompt{mill.canary} number 0 {say}"
            error = {"message": quoted, "type": quoted, "code": quoted, "status": quoted}
            body = json.dumps({"error": error})
            mill.simulator.add_fault("raw", status=status, body=body, contains=say, count=1)
            batch = mill.load(1, say=say, providers=[provider])
            wait_until(lambda: mill.requests(batch), f"{say} to be asked")  # noqa: B023
            if status in (401, 403):
                wait_until(lambda: mill.sql("select 1 from pauses"), "the pause")
                resume_provider(mill.database, mill.settings, provider)
            mill.wait_done(batch)
    stage.measure(mill)
    assert_world(mill)


def nothing_is_fetched(stage: Stage) -> None:
    """Addresses of pictures in prompts go to the provider; nobody here opens them."""
    mill = stage.mill(latency_s=0)
    with socket.create_server(("127.0.0.1", 0)) as trap:
        visits: list[Any] = []
        trap.settimeout(60)
        Thread(target=_watch, args=(trap, visits), daemon=True).start()
        url = f"http://127.0.0.1:{trap.getsockname()[1]}/latest/meta-data"
        part = {"type": "image_url", "image_url": {"url": url}}
        text = {"type": "text", "text": f"prompt{mill.canary}"}
        mill.start_worker()
        batch = mill.load(
            9, providers=list(MODELS), messages=[{"role": "user", "content": [text, part]}]
        )
        mill.wait_done(batch)
        stage.measure(mill)
        assert_world(mill)
        assert not visits, f"somebody opened {url}"


def _watch(trap: socket.socket, visits: list[Any]) -> None:
    try:
        visits.append(trap.accept()[1])
    except OSError:
        return


FAULTS = (
    Fault("R21", "unstorable", "answers that SQL refuses, in groups of 50", unstorable),
    Fault("R31", "refusals", "429 with every kind of Retry-After", refusals),
    Fault("R32", "endless", "calls that hang, answers that drip", endless),
    Fault("R33", "half_answers", "answers that are cut, reset, or no HTTP", half_answers),
    Fault("R34", "garbled", "200 with HTML, {}, wrong types, no usage, NaN", garbled),
    Fault("R35", "key_refused", "401, 403 and no credit in mid batch", key_refused),
    Fault("R36", "server_errors", "500 for longer than all retries last", server_errors),
    Fault("R45", "quoted_secrets", "errors that quote key and prompt", quoted_secrets),
    Fault("R47", "nothing_is_fetched", "addresses of pictures in prompts", nothing_is_fetched),
)
