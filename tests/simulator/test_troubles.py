"""Every error, as its provider says it and its SDK raises it, for one request each."""

from typing import Any

import anthropic
import openai
import pytest
from google.genai import errors

from promptmill.simulator import Simulator, Trouble
from tests.simulator.clients import Sdks

# trouble: status, class, code
OPENAI = {
    Trouble.INVALID_REQUEST: (400, openai.BadRequestError, None),
    Trouble.CONTEXT_LENGTH: (400, openai.BadRequestError, "context_length_exceeded"),
    Trouble.CONTENT_POLICY: (400, openai.BadRequestError, "content_policy_violation"),
    Trouble.BAD_KEY: (401, openai.AuthenticationError, "invalid_api_key"),
    Trouble.UNAUTHORIZED: (401, openai.AuthenticationError, None),
    Trouble.PAYMENT_REQUIRED: (402, openai.APIStatusError, "invalid_request_error"),
    Trouble.FORBIDDEN: (
        403,
        openai.PermissionDeniedError,
        "unsupported_country_region_territory",
    ),
    Trouble.MODEL_NOT_FOUND: (404, openai.NotFoundError, "model_not_found"),
    Trouble.REQUEST_TIMEOUT: (408, openai.APIStatusError, None),
    Trouble.CONFLICT: (409, openai.ConflictError, None),
    Trouble.TOO_LARGE: (413, openai.APIStatusError, None),
    Trouble.UNPROCESSABLE: (422, openai.UnprocessableEntityError, None),
    Trouble.RATE: (429, openai.RateLimitError, "rate_limit_exceeded"),
    Trouble.RAMP: (429, openai.RateLimitError, "slow_down"),
    Trouble.MONEY: (429, openai.RateLimitError, "insufficient_quota"),
    Trouble.DAILY: (429, openai.RateLimitError, "rate_limit_exceeded"),
    Trouble.SERVER_ERROR: (500, openai.InternalServerError, None),
    Trouble.BAD_GATEWAY: (502, openai.InternalServerError, None),
    Trouble.UNAVAILABLE: (503, openai.InternalServerError, None),
    Trouble.GATEWAY_TIMEOUT: (504, openai.InternalServerError, None),
    Trouble.OVERLOADED: (503, openai.InternalServerError, "server_is_overloaded"),
}
# trouble: status, class, type, error_code
ANTHROPIC = {
    Trouble.INVALID_REQUEST: (400, anthropic.BadRequestError, "invalid_request_error", None),
    Trouble.CONTEXT_LENGTH: (400, anthropic.BadRequestError, "invalid_request_error", None),
    Trouble.CONTENT_POLICY: (400, anthropic.BadRequestError, "invalid_request_error", None),
    Trouble.BAD_KEY: (401, anthropic.AuthenticationError, "authentication_error", None),
    Trouble.UNAUTHORIZED: (401, anthropic.AuthenticationError, "authentication_error", None),
    Trouble.PAYMENT_REQUIRED: (402, anthropic.APIStatusError, "billing_error", None),
    Trouble.FORBIDDEN: (403, anthropic.PermissionDeniedError, "permission_error", None),
    Trouble.MODEL_NOT_FOUND: (404, anthropic.NotFoundError, "not_found_error", None),
    Trouble.REQUEST_TIMEOUT: (408, anthropic.APIStatusError, "timeout_error", None),
    Trouble.CONFLICT: (409, anthropic.ConflictError, "conflict_error", None),
    Trouble.TOO_LARGE: (413, anthropic.APIStatusError, "invalid_request_error", None),
    Trouble.UNPROCESSABLE: (
        422,
        anthropic.UnprocessableEntityError,
        "invalid_request_error",
        None,
    ),
    Trouble.RATE: (429, anthropic.RateLimitError, "rate_limit_error", None),
    Trouble.RAMP: (429, anthropic.RateLimitError, "rate_limit_error", "ramp_limit_exceeded"),
    Trouble.MONEY: (
        429,
        anthropic.RateLimitError,
        "rate_limit_error",
        "enforced_spend_limit_reached",
    ),
    Trouble.DAILY: (429, anthropic.RateLimitError, "rate_limit_error", None),
    Trouble.SERVER_ERROR: (500, anthropic.InternalServerError, "api_error", None),
    Trouble.BAD_GATEWAY: (502, anthropic.InternalServerError, "api_error", None),
    Trouble.UNAVAILABLE: (503, anthropic.InternalServerError, "api_error", None),
    Trouble.GATEWAY_TIMEOUT: (504, anthropic.InternalServerError, "timeout_error", None),
    Trouble.OVERLOADED: (529, anthropic.InternalServerError, "overloaded_error", None),
}
# trouble: code, status
GEMINI = {
    Trouble.INVALID_REQUEST: (400, "INVALID_ARGUMENT"),
    Trouble.CONTEXT_LENGTH: (400, "INVALID_ARGUMENT"),
    Trouble.CONTENT_POLICY: (400, "INVALID_ARGUMENT"),
    Trouble.BAD_KEY: (400, "INVALID_ARGUMENT"),
    Trouble.UNAUTHORIZED: (401, "UNAUTHENTICATED"),
    Trouble.PAYMENT_REQUIRED: (402, "FAILED_PRECONDITION"),
    Trouble.FORBIDDEN: (403, "PERMISSION_DENIED"),
    Trouble.MODEL_NOT_FOUND: (404, "NOT_FOUND"),
    Trouble.REQUEST_TIMEOUT: (408, "DEADLINE_EXCEEDED"),
    Trouble.CONFLICT: (409, "ABORTED"),
    Trouble.TOO_LARGE: (413, "INVALID_ARGUMENT"),
    Trouble.UNPROCESSABLE: (422, "INVALID_ARGUMENT"),
    Trouble.RATE: (429, "RESOURCE_EXHAUSTED"),
    Trouble.RAMP: (429, "RESOURCE_EXHAUSTED"),
    Trouble.MONEY: (429, "RESOURCE_EXHAUSTED"),
    Trouble.DAILY: (429, "RESOURCE_EXHAUSTED"),
    Trouble.SERVER_ERROR: (500, "INTERNAL"),
    Trouble.BAD_GATEWAY: (502, "Bad Gateway"),
    Trouble.UNAVAILABLE: (503, "UNAVAILABLE"),
    Trouble.GATEWAY_TIMEOUT: (504, "DEADLINE_EXCEEDED"),
    Trouble.OVERLOADED: (503, "UNAVAILABLE"),
}


@pytest.fixture(scope="module")
def shared() -> Any:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def troubled(shared: Simulator) -> Simulator:
    """One simulator for all these tests, with an empty bill."""
    shared.clear_faults()
    shared.clear_bill()
    return shared


@pytest.mark.parametrize("trouble", Trouble)
def test_openai_trouble_is_raised_as_its_class_after_one_request(
    trouble: Trouble, troubled: Simulator, sdks: Sdks
) -> None:
    status, error_class, code = OPENAI[trouble]
    troubled.add_fault(trouble)
    with pytest.raises(error_class) as caught:
        sdks.ask("openai", troubled)
    error = caught.value
    assert isinstance(error, openai.APIStatusError)
    assert (error.status_code, error.code) == (status, code)
    assert error.request_id
    assert [(row.status, row.billed) for row in troubled.bill()] == [(status, False)]


@pytest.mark.parametrize("trouble", Trouble)
def test_anthropic_trouble_is_raised_as_its_class_after_one_request(
    trouble: Trouble, troubled: Simulator, sdks: Sdks
) -> None:
    status, error_class, kind, error_code = ANTHROPIC[trouble]
    troubled.add_fault(trouble)
    with pytest.raises(error_class) as caught:
        sdks.ask("anthropic", troubled)
    error = caught.value
    assert (error.status_code, error.type, error.error_code) == (status, kind, error_code)
    assert error.request_id == error.body["request_id"]  # type: ignore[index]
    assert [(row.status, row.billed) for row in troubled.bill()] == [(status, False)]


@pytest.mark.parametrize("trouble", Trouble)
def test_gemini_trouble_is_raised_with_its_status_after_one_request(
    trouble: Trouble, troubled: Simulator, sdks: Sdks
) -> None:
    code, status = GEMINI[trouble]
    troubled.add_fault(trouble)
    with pytest.raises(errors.APIError) as caught:
        sdks.ask("google-genai", troubled)
    assert (caught.value.code, caught.value.status) == (code, status)
    assert [(row.status, row.billed) for row in troubled.bill()] == [(code, False)]


@pytest.mark.parametrize(
    ("trouble", "error_name"),
    [
        (Trouble.INVALID_REQUEST, "BadRequest"),
        (Trouble.FORBIDDEN, "Forbidden"),
        (Trouble.MODEL_NOT_FOUND, "NotFound"),
        (Trouble.RATE, "TooManyRequests"),
        (Trouble.SERVER_ERROR, "InternalServerError"),
        (Trouble.UNAVAILABLE, "ServiceUnavailable"),
        (Trouble.GATEWAY_TIMEOUT, "GatewayTimeout"),
    ],
)
def test_the_former_gemini_sdk_raises_its_own_classes(
    trouble: Trouble, error_name: str, troubled: Simulator, sdks: Sdks
) -> None:
    from google.api_core import exceptions

    troubled.add_fault(trouble)
    with pytest.raises(getattr(exceptions, error_name)):
        sdks.ask("google-generativeai", troubled)
    assert troubled.summary().total.requests == 1


def test_money_is_never_to_be_waited_for(troubled: Simulator, sdks: Sdks) -> None:
    troubled.add_fault(Trouble.MONEY)
    with pytest.raises(anthropic.RateLimitError) as caught:
        sdks.ask("anthropic", troubled)
    assert "retry-after" not in caught.value.response.headers
    with pytest.raises(errors.ClientError) as gemini:
        sdks.ask("google-genai", troubled)
    assert "details" not in gemini.value.details["error"]


@pytest.mark.parametrize(
    ("trouble", "quota"), [(Trouble.RATE, "PerMinute"), (Trouble.DAILY, "PerDay")]
)
def test_gemini_names_the_quota_and_the_delay(
    trouble: Trouble, quota: str, troubled: Simulator, sdks: Sdks
) -> None:
    troubled.add_fault(trouble, retry_after="46")
    with pytest.raises(errors.ClientError) as caught:
        sdks.ask("google-genai", troubled)
    details = {
        detail["@type"].rpartition(".")[2]: detail
        for detail in caught.value.details["error"]["details"]
    }
    assert quota in details["QuotaFailure"]["violations"][0]["quotaId"]
    assert details["RetryInfo"]["retryDelay"] == "46s"


@pytest.mark.parametrize("retry_after", ["0", "-5", "1e9", "soon", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_retry_after_may_be_nonsense(retry_after: str, troubled: Simulator, sdks: Sdks) -> None:
    troubled.add_fault(Trouble.RATE, retry_after=retry_after)
    with pytest.raises(openai.RateLimitError) as caught:
        sdks.ask("openai", troubled)
    assert caught.value.response.headers["retry-after"] == retry_after
