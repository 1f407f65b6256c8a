"""Answers that do not come whole: what was sent and lost is unknown, what came is paid."""

import asyncio
import base64
import json
import socket
from collections.abc import Iterator
from time import monotonic

import pytest

from promptmill.schema.outcomes import ErrorKind
from promptmill.simulator import Accident
from promptmill.workers.providers.base import Answer, Refusal
from tests.providers.dialects import CANARY, PROMPT, Harness

LOST = [Accident.HANG, Accident.DRIP, Accident.CUT, Accident.RESET, Accident.GARBAGE]
SPOILED = [Accident.EMPTY, Accident.HTML, Accident.EMPTY_OBJECT, Accident.TRUNCATED]

CHOICE = {"index": 0, "message": {"role": "assistant", "content": "done"}}
OPENAI_USAGE = {"prompt_tokens": 11, "completion_tokens": 5}
ANTHROPIC_USAGE = {"input_tokens": 11, "output_tokens": 5}
GEMINI_USAGE = {"promptTokenCount": 11, "candidatesTokenCount": 5}
TEXT = [{"type": "text", "text": "done"}]
PARTS = {"content": {"parts": [{"text": "done"}]}}
UNUSABLE = {
    ("openai", "no choices"): {"choices": [], "usage": OPENAI_USAGE},
    ("openai", "choices null"): {"choices": None, "usage": OPENAI_USAGE},
    ("openai", "content a number"): {
        "choices": [{"message": {"content": 5}, "finish_reason": "stop"}],
        "usage": OPENAI_USAGE,
    },
    ("openai", "no finish reason"): {"choices": [CHOICE], "usage": OPENAI_USAGE},
    ("anthropic", "no stop reason"): {"content": TEXT, "usage": ANTHROPIC_USAGE},
    ("anthropic", "content a text"): {
        "content": "done",
        "stop_reason": "end_turn",
        "usage": ANTHROPIC_USAGE,
    },
    ("gemini", "no candidates"): {"candidates": [], "usageMetadata": GEMINI_USAGE},
    ("gemini", "no finish reason"): {"candidates": [PARTS], "usageMetadata": GEMINI_USAGE},
    ("gemini-legacy", "no finish reason"): {"candidates": [PARTS], "usageMetadata": GEMINI_USAGE},
}


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine that refuses connections: bound, and nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize("accident", LOST)
def test_what_was_sent_and_lost_is_unknown(harness: Harness, name: str, accident: Accident) -> None:
    call = harness.call(timeout_s=0.4)
    refusal = harness.refusal(name, call, fault=accident)
    assert (refusal.kind, refusal.http_status) == (ErrorKind.UNKNOWN, None)
    assert len(harness.rows(call)) == 1
    assert CANARY not in repr(refusal)
    assert PROMPT not in repr(refusal)


def test_a_dripping_answer_does_not_outrun_the_deadline(harness: Harness, name: str) -> None:
    began = monotonic()
    harness.refusal(name, harness.call(timeout_s=0.3), fault=Accident.DRIP, interval_s=0.05)
    assert monotonic() - began < 10  # the whole answer would take 20 s or more


@pytest.mark.parametrize("accident", SPOILED)
def test_a_complete_answer_that_cannot_be_read_is_kept_raw(
    harness: Harness, name: str, accident: Accident
) -> None:
    call = harness.call()
    refusal = harness.refusal(name, call, fault=accident)
    assert (refusal.kind, refusal.http_status) == (ErrorKind.BAD_RESPONSE, 200)
    assert refusal.raw is not None
    assert len(harness.rows(call)) == 1


@pytest.mark.parametrize(("adapter", "problem"), list(UNUSABLE))
def test_an_answer_that_says_too_little_is_paid_and_not_used(
    harness: Harness, adapter: str, problem: str
) -> None:
    body = json.dumps(UNUSABLE[adapter, problem])
    refusal = harness.refusal(adapter, fault="raw", body=body)
    assert refusal.kind is ErrorKind.BAD_RESPONSE
    assert refusal.raw == body.encode()
    assert refusal.usage is not None
    assert (refusal.usage.input_tokens, refusal.usage.output_tokens) == (11, 5)
    assert "done" not in repr(refusal)


def test_a_huge_unusable_answer_is_kept_in_part(harness: Harness, name: str) -> None:
    refusal = harness.refusal(name, fault="raw", body="x" * 100_000)
    assert refusal.raw == b"x" * 65_536


@pytest.mark.parametrize("before", [0, 65_536 - 10])
def test_an_unusable_answer_that_quotes_the_key_is_kept_without_it(
    harness: Harness, name: str, before: int
) -> None:
    coded = base64.b64encode(CANARY.encode()).decode()
    refusal = harness.refusal(name, fault="raw", body=f"{'x' * before}{CANARY} {coded}")
    assert refusal.raw is not None
    assert refusal.raw.startswith(b"x" * before + b"*" * 10)
    assert coded[:-4].encode() not in refusal.raw


@pytest.mark.parametrize("accident", [Accident.NUL, Accident.SURROGATE])
def test_strange_text_is_an_answer(harness: Harness, name: str, accident: Accident) -> None:
    answer = harness.answer(name, fault=accident)
    assert answer.text is not None
    assert answer.text.endswith("\0" if accident is Accident.NUL else "\ud83d")
    assert answer.usage is not None


def test_where_nobody_listens_nothing_was_sent(
    harness: Harness, name: str, closed_port: int
) -> None:
    provider = harness.provider(name, f"http://127.0.0.1:{closed_port}")
    refusal = harness.run(provider.complete(harness.call()))
    assert refusal.kind is ErrorKind.TRANSIENT
    assert "nothing was sent" in refusal.message


@pytest.mark.parametrize("adapter", ["openai", "anthropic", "gemini"])
def test_a_failed_handshake_has_sent_nothing(harness: Harness, adapter: str) -> None:
    # The legacy adapter's transport tells no handshake from a later TLS error: unknown, there.
    async def call_a_server_that_hangs_up() -> Answer | Refusal:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            provider = harness.provider(adapter, f"https://127.0.0.1:{port}")
            return await provider.complete(harness.call())

    refusal = harness.run(call_a_server_that_hangs_up())
    assert refusal.kind is ErrorKind.TRANSIENT, refusal


def test_a_cancelled_call_is_cancelled(harness: Harness, name: str) -> None:
    call = harness.call()
    harness.simulator.add_fault("hang", contains=call.body["messages"][0]["content"])

    async def give_up() -> None:
        task = asyncio.ensure_future(harness.provider(name).complete(call))
        while not harness.rows(call):  # noqa: ASYNC110  the simulator is in another thread
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    harness.run(give_up())
