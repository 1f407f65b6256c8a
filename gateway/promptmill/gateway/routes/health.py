"""Whether the gateway lives, and whether it can do its work: for load balancers."""

from fastapi import APIRouter, Request, Response

from promptmill.gateway.context import gateway_of
from promptmill.gateway.errors import RETRY_S, ApiError
from promptmill.gateway.shapes import answer
from promptmill.schema.errors import ContractError
from promptmill.schema.revisions import require_current

router = APIRouter()


@router.get("/healthz", include_in_schema=False)
async def lives() -> Response:
    """Answer, as long as the process can."""
    return answer({"status": "ok"})


@router.get("/readyz", include_in_schema=False)
def is_ready(request: Request) -> Response:
    """Answer once SQL is there, at a revision that this release knows; else 503."""
    try:
        require_current(gateway_of(request).database)
    except ContractError as error:
        raise ApiError(503, str(error), code="unavailable", retry_after_s=RETRY_S) from None
    return answer({"status": "ok"})
