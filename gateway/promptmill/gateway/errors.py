"""Errors as OpenAI says them: `{"error": {"message", "type", "param", "code"}}`."""

from math import ceil
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

_TYPES = {
    401: "invalid_request_error",
    403: "permission_error",
    408: "timeout_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}
RETRY_S = 5
"""when to come again while SQL is away"""


class ApiError(HTTPException):
    """Refuses a request. The message tells the client what to do."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        headers = {} if retry_after_s is None else {"Retry-After": f"{max(1, ceil(retry_after_s))}"}
        super().__init__(status, message, headers=headers)
        self.message, self.code, self.param = message, code, param

    def response(self) -> Response:
        """Say it over HTTP."""
        return error_response(
            self.status_code,
            self.message,
            code=self.code,
            param=self.param,
            headers=dict(self.headers or {}),
        )


def error_response(
    status: int,
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """Make the answer to a request that is refused."""
    kind = _TYPES.get(status, "invalid_request_error")
    told: dict[str, Any] = {"message": message, "type": kind, "param": param, "code": code}
    body = msgspec.json.encode({"error": told})
    return Response(body, status, headers, media_type="application/json")


def no_file(file_id: str) -> ApiError:
    """Make the error for a file that this tenant has not, whether or not another has it."""
    return ApiError(404, f"No such File object: {file_id[:100]}", code="not_found", param="id")


def no_batch(batch_id: str) -> ApiError:
    """Make the error for a batch that this tenant has not, whether or not another has it."""
    return ApiError(404, f"No such Batch object: {batch_id[:100]}", code="not_found", param="id")


def unavailable() -> ApiError:
    """Make the error for a database that is away."""
    message = "The gateway cannot reach its database. Nothing is lost; try again."
    return ApiError(503, message, code="unavailable", retry_after_s=RETRY_S)
