"""The application: its routes, and errors in OpenAI's shape."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from promptmill.gateway.context import Gateway
from promptmill.gateway.door import Door
from promptmill.gateway.errors import ApiError, error_response
from promptmill.gateway.keeping.allowing import Allowing
from promptmill.gateway.keeping.finishing import Finishing
from promptmill.gateway.keeping.shift import Shift
from promptmill.gateway.keeping.validating import Validation
from promptmill.gateway.routes import batches, files, health, live, models, uploads

_MISSING: Final = "missing"
"""pydantic's word for a field that must be there"""


def make_app(gateway: Gateway) -> ASGIApp:
    """Make the application of *gateway*; its keepers work for as long as it is up."""

    @asynccontextmanager
    async def at_work(_app: FastAPI) -> AsyncIterator[None]:
        works = (Validation(gateway), Allowing(gateway), Finishing(gateway))
        shifts = [Shift(gateway, work) for work in works]
        for shift in shifts:
            shift.start()
        yield
        for shift in shifts:
            await run_in_threadpool(shift.end)
        await gateway.answering.close()
        await gateway.rates.close()

    app = FastAPI(
        title="promptmill",
        description="OpenAI's Files and Batches, for every provider that promptmill knows.",
        lifespan=at_work,
        docs_url=None,
        redoc_url=None,
        exception_handlers={
            HTTPException: _refused,
            RequestValidationError: _invalid,
        },
    )
    app.state.gateway = gateway
    for part in (batches, live, files, uploads, models, health):  # what is asked most comes first
        app.include_router(part.router)
    return Door(app, gateway)


async def _refused(request: Request, error: Any) -> Response:
    if isinstance(error, ApiError):
        return error.response()
    message = str(error.detail)
    if error.status_code in {404, 405}:
        message = f"There is no {request.method} {request.url.path[:200]} here."
    return error_response(error.status_code, message, headers=dict(error.headers or {}))


async def _invalid(_request: Request, error: Any) -> Response:
    """Say the first thing that is wrong with a body or a query."""
    first = error.errors()[0]
    param = ".".join(str(part) for part in first["loc"][1:] if isinstance(part, str)) or None
    code = "missing_required_parameter" if first["type"] == _MISSING else "invalid_value"
    where = f"{param}: " if param else ""
    return error_response(400, f"{where}{first['msg']}", code=code, param=param)
