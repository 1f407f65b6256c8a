"""Every row of the one error table, for every adapter, at the price of one request."""

import json

import pytest

from promptmill.schema.outcomes import ErrorKind
from promptmill.simulator import Trouble
from promptmill.workers.providers.base import Length
from tests.providers.dialects import CANARY, PROMPT, Harness

TABLE = {
    Trouble.INVALID_REQUEST: (400, ErrorKind.REQUEST),
    Trouble.CONTEXT_LENGTH: (400, ErrorKind.REQUEST),
    Trouble.CONTENT_POLICY: (400, ErrorKind.REQUEST),
    Trouble.BAD_KEY: (401, ErrorKind.KEY),
    Trouble.UNAUTHORIZED: (401, ErrorKind.KEY),
    Trouble.PAYMENT_REQUIRED: (402, ErrorKind.MONEY),
    Trouble.FORBIDDEN: (403, ErrorKind.KEY),
    Trouble.MODEL_NOT_FOUND: (404, ErrorKind.REQUEST),
    Trouble.REQUEST_TIMEOUT: (408, ErrorKind.TRANSIENT),
    Trouble.CONFLICT: (409, ErrorKind.TRANSIENT),
    Trouble.TOO_LARGE: (413, ErrorKind.REQUEST),
    Trouble.UNPROCESSABLE: (422, ErrorKind.REQUEST),
    Trouble.RATE: (429, ErrorKind.RATE),
    Trouble.RAMP: (429, ErrorKind.RATE),
    Trouble.MONEY: (429, ErrorKind.MONEY),
    Trouble.DAILY: (429, ErrorKind.DAILY),
    Trouble.SERVER_ERROR: (500, ErrorKind.TRANSIENT),
    Trouble.BAD_GATEWAY: (502, ErrorKind.TRANSIENT),
    Trouble.UNAVAILABLE: (503, ErrorKind.OVERLOADED),
    Trouble.GATEWAY_TIMEOUT: (504, ErrorKind.TRANSIENT),
    Trouble.OVERLOADED: (503, ErrorKind.OVERLOADED),
}
EXCEPTIONS = {
    ("anthropic", Trouble.OVERLOADED): (529, ErrorKind.OVERLOADED),
    ("gemini", Trouble.BAD_KEY): (400, ErrorKind.KEY),
    ("gemini-legacy", Trouble.BAD_KEY): (400, ErrorKind.KEY),
}
CODES = {
    ("openai", Trouble.RATE): "rate_limit_exceeded",
    ("openai", Trouble.RAMP): "slow_down",
    ("openai", Trouble.MONEY): "insufficient_quota",
    ("openai", Trouble.CONTEXT_LENGTH): "context_length_exceeded",
    ("anthropic", Trouble.RAMP): "ramp_limit_exceeded",
    ("anthropic", Trouble.MONEY): "enforced_spend_limit_reached",
    ("anthropic", Trouble.OVERLOADED): "overloaded_error",
    ("gemini", Trouble.BAD_KEY): "API_KEY_INVALID",
    ("gemini", Trouble.DAILY): "GenerateRequestsPerDayPerProjectPerModel",
}
QUOTING = f'Bad value "{PROMPT}" or {PROMPT.upper()} under key {CANARY}'


_OPENAI = "This model's maximum context length is 8192 tokens. However, "
LENGTHS = {
    "openai": {
        f"{_OPENAI}your messages resulted in 8227 tokens.": (8227, 8192),
        f"{_OPENAI}you requested 9000 tokens (8000 in the messages, 1000 to come).": (8000, 8192),
        "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in"
        " 300010 tokens.": (300010, 272000),
    },
    "anthropic": {
        "prompt is too long: 208310 tokens > 200000 maximum": (208310, 200000),
        "input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, decrease"
        " input length or `max_tokens` and try again": (178959, 200000),
    },
    "gemini": {
        "The input token count (81881) exceeds the maximum number of tokens allowed (65536).": (
            81881,
            65536,
        ),
    },
}
LENGTHS["gemini-legacy"] = LENGTHS["gemini"]


def test_how_long_a_request_is_and_may_be_is_read_from_what_is_said(
    harness: Harness, name: str
) -> None:
    for said, (tokens, most) in LENGTHS[name].items():
        body = json.dumps({"error": {"message": said, "type": "invalid_request_error"}})
        refusal = harness.refusal(name, fault="raw", body=body, status=400)
        assert refusal.too_long == Length(tokens, most)
    assert harness.refusal(name, fault=Trouble.INVALID_REQUEST).too_long is None


def test_every_trouble_has_its_row() -> None:
    assert set(TABLE) == set(Trouble)


@pytest.mark.parametrize("trouble", list(TABLE))
def test_a_trouble_is_told_by_its_kind_after_one_request(
    harness: Harness, name: str, trouble: Trouble
) -> None:
    call = harness.call()
    refusal = harness.refusal(name, call, fault=trouble)
    assert (refusal.http_status, refusal.kind) == EXCEPTIONS.get((name, trouble), TABLE[trouble])
    assert len(harness.rows(call)) == 1
    assert CANARY not in repr(refusal) + str(refusal)
    assert PROMPT not in repr(refusal)
    assert len(refusal.message) <= 500


@pytest.mark.parametrize(("adapter", "trouble"), list(CODES))
def test_the_providers_own_word_is_kept(harness: Harness, adapter: str, trouble: Trouble) -> None:
    assert harness.refusal(adapter, fault=trouble).code == CODES[adapter, trouble]


def test_retry_after_is_read_where_the_provider_tells_it(harness: Harness, name: str) -> None:
    refusal = harness.refusal(name, fault=Trouble.RATE, retry_after="7")
    assert refusal.retry_after_s == 7.0


@pytest.mark.parametrize("told", ["-5", "soon", "nan", ""])
def test_a_retry_after_without_sense_is_none(harness: Harness, name: str, told: str) -> None:
    refusal = harness.refusal(name, fault=Trouble.UNAVAILABLE, retry_after=told)
    assert refusal.retry_after_s is None


def test_retry_after_is_never_more_than_a_day(harness: Harness, name: str) -> None:
    refusal = harness.refusal(name, fault=Trouble.UNAVAILABLE, retry_after="1e9")
    assert refusal.retry_after_s == 86_400.0


def test_an_error_that_quotes_key_and_prompt_is_told_without_them(
    harness: Harness, name: str
) -> None:
    error = {"message": QUOTING, "type": "invalid_request_error", "status": "INVALID_ARGUMENT"}
    refusal = harness.refusal(name, fault="raw", status=400, body=json.dumps({"error": error}))
    assert refusal.kind is ErrorKind.REQUEST
    for secret in (CANARY, PROMPT, PROMPT.upper(), "quokkas", "marmalade"):
        assert secret not in repr(refusal)


def test_an_error_page_is_told_by_its_status_alone(harness: Harness, name: str) -> None:
    refusal = harness.refusal(name, fault="raw", status=503, body="<html>\u00e9 busy</html>")
    assert (refusal.kind, refusal.code) == (ErrorKind.OVERLOADED, None)
    assert "busy" not in refusal.message


def test_a_redirect_is_not_followed(harness: Harness, name: str) -> None:
    call = harness.call()
    refusal = harness.refusal(name, call, fault="raw", status=308, body="{}")
    assert refusal.kind is ErrorKind.REQUEST
    assert len(harness.rows(call)) == 1


def test_a_request_larger_than_openais_limit_can_never_succeed(harness: Harness) -> None:
    error = {"message": "Request too large for gpt-4o on tokens per min (TPM): Limit 30000"}
    error |= {"type": "tokens", "code": "rate_limit_exceeded"}
    refusal = harness.refusal("openai", fault="raw", status=429, body=json.dumps({"error": error}))
    assert refusal.kind is ErrorKind.REQUEST


def test_anthropics_limit_that_the_customer_set_is_money(harness: Harness) -> None:
    message = "You have reached your specified API usage limits. You will regain access on 2026-12"
    body = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    refusal = harness.refusal("anthropic", fault="raw", status=400, body=json.dumps(body))
    assert refusal.kind is ErrorKind.MONEY


@pytest.mark.parametrize("adapter", ["gemini", "gemini-legacy"])
def test_geminis_blocked_prompt_is_a_request_that_fails(harness: Harness, adapter: str) -> None:
    body = {
        "promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9},
    }
    refusal = harness.refusal(adapter, fault="raw", body=json.dumps(body))
    assert (refusal.kind, refusal.code) == (ErrorKind.REQUEST, "SAFETY")
    assert refusal.usage is not None
    assert refusal.usage.input_tokens == 9


@pytest.mark.parametrize(("code", "kind"), [(429, ErrorKind.RATE), (402, ErrorKind.MONEY)])
def test_a_gateways_error_in_a_200_counts_by_its_code(
    harness: Harness, code: int, kind: ErrorKind
) -> None:
    body = json.dumps({"error": {"code": code, "message": "Provider returned error"}})
    assert harness.refusal("openai", fault="raw", body=body).kind is kind
