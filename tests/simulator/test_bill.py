"""The bill is what clients saw."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import openai

from promptmill.simulator import Limits, Provider, Simulator
from promptmill.simulator.bill import Bill, Entry
from tests.services.waiting import wait_until
from tests.simulator.clients import KEY, RawClient, Sdks


def test_a_row_tells_who_asked_what_and_what_it_cost(simulator: Simulator, sdks: Sdks) -> None:
    answer = sdks.openai(simulator).chat.completions.create(
        model="gpt-4o",
        messages=[
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "grind [[row-17]]"},
        ],
        extra_headers={"X-Client-Request-Id": "job-3-fence-1"},
    )
    (row,) = simulator.bill()
    assert answer.usage is not None
    assert row.client_request_id == "job-3-fence-1"
    assert row.marker == "row-17"
    assert row.prompt_sha256 == hashlib.sha256(b"be brief\ngrind [[row-17]]").hexdigest()
    assert (row.provider, row.model, row.status) == ("openai", "gpt-4o", 200)
    assert (row.billed, row.complete) == (True, True)
    assert row.input_tokens == answer.usage.prompt_tokens
    assert row.output_tokens == answer.usage.completion_tokens
    assert row.finished_at is not None
    assert row.finished_at >= row.received_at


def test_a_key_is_named_and_never_told(simulator: Simulator, sdks: Sdks) -> None:
    for provider in ("openai", "anthropic", "google-genai"):
        sdks.ask(provider, simulator)
    rows = simulator.bill()
    assert {row.key for row in rows} == {hashlib.sha256(KEY.encode()).hexdigest()[:8]}
    assert KEY not in repr(rows)


def test_the_same_prompt_has_the_same_digest_at_every_provider(
    simulator: Simulator, sdks: Sdks
) -> None:
    for provider in ("openai", "anthropic", "google-genai", "google-generativeai"):
        sdks.ask(provider, simulator, "the same")
    assert len({row.prompt_sha256 for row in simulator.bill()}) == 1


def test_totals_equal_what_the_client_counted(start: Callable[..., Simulator], sdks: Sdks) -> None:
    simulator = start(limits=Limits(rpm=30), seed=3)
    simulator.add_fault("server_error", every=4)
    answered, refused, tokens = 0, 0, 0
    for number in range(40):
        try:
            answer = sdks.ask("openai", simulator, f"prompt {number}")
        except openai.APIStatusError:
            refused += 1
        else:
            answered += 1
            tokens += answer.usage.total_tokens
    total = simulator.summary().total
    assert refused > 0
    assert (total.requests, total.billed, total.refused) == (40, answered, refused)
    assert total.input_tokens + total.output_tokens == tokens
    assert simulator.summary().providers["gemini"].requests == 0


def test_calls_in_flight_are_counted_and_the_most_at_once_kept(
    start: Callable[..., Simulator], connect: Callable[[Simulator], RawClient]
) -> None:
    simulator = start(latency_s=0.2)
    clients = [connect(simulator) for _ in range(20)]
    for client in clients:
        client.send()
    wait_until(lambda: simulator.summary().total.open == 20, "all calls to be open")
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(RawClient.read_answer, clients))
    total = simulator.summary().total
    assert (total.open, total.max_open, total.complete) == (0, 20, 20)


def test_a_client_that_goes_away_is_billed_and_its_answer_incomplete(
    start: Callable[..., Simulator], connect: Callable[[Simulator], RawClient]
) -> None:
    simulator = start(latency_s=0.2)
    client = connect(simulator)
    client.send()
    wait_until(lambda: simulator.summary().total.open == 1, "the call to arrive")
    client.socket.close()
    wait_until(lambda: simulator.summary().total.open == 0, "the call to end")
    (row,) = simulator.bill()
    assert (row.status, row.billed, row.complete) == (0, True, False)


def open_call(bill: Bill, model: str = "m") -> Entry:
    return bill.open(
        Provider.OPENAI, key="", client_request_id="", model=model, prompt=b"", marker=""
    )


def test_old_rows_are_dropped_and_totals_kept() -> None:
    bill = Bill(rows=10, clock=lambda: 0.0)
    for _ in range(25):
        entry = open_call(bill)
        bill.charge(entry, input_tokens=2, output_tokens=3)
        bill.close(entry, status=200, complete=True)
    summary = bill.summary()
    assert [row.sequence for row in bill.rows()] == list(range(16, 26))
    assert (summary.total.billed, summary.total.input_tokens, summary.rows_dropped) == (25, 50, 15)


def test_a_call_from_before_a_new_bill_is_on_neither() -> None:
    bill = Bill(rows=10, clock=lambda: 0.0)
    old = open_call(bill)
    bill.clear()
    bill.charge(old, input_tokens=1, output_tokens=1)
    bill.close(old, status=200, complete=True)
    assert bill.summary().total.requests == 0
    assert bill.summary().total.open == 0
    assert bill.summary().total.billed == 0


def test_rows_are_read_page_by_page() -> None:
    bill = Bill(rows=10, clock=lambda: 0.0)
    for _ in range(5):
        open_call(bill)
    assert [row.sequence for row in bill.rows(after=2, limit=2)] == [3, 4]
