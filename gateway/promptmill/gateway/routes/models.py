"""`/v1/models`: which models have names here. Others are told by how they are named."""

from fastapi import APIRouter, Request, Response

from promptmill.gateway.context import gateway_of
from promptmill.gateway.errors import ApiError
from promptmill.gateway.shapes import answer
from promptmill.producer.routing import route
from promptmill.schema.errors import UsageError
from promptmill.schema.settings import Settings

router = APIRouter(prefix="/v1/models")
_WILD = frozenset("*?[")


@router.get("")
def list_models(request: Request) -> Response:
    """List the models that the settings name: in routes, limits and prices."""
    settings = gateway_of(request).settings
    shapes = [_shape(settings, name) for name in sorted(_named(settings))]
    return answer({"object": "list", "data": [one for one in shapes if one]})


@router.get("/{model:path}")
def retrieve(request: Request, model: str) -> Response:
    """Say who answers a model."""
    shape = _shape(gateway_of(request).settings, model)
    if shape is None:
        msg = f"The model {model[:100]!r} is answered by nobody here."
        raise ApiError(404, msg, param="model", code="model_not_found")
    return answer(shape)


def _named(settings: Settings) -> set[str]:
    names = set(settings.routes)
    for provider, section in settings.providers.items():
        names |= {f"{provider}/{model}" for model in (*section.models, *section.prices)}
    return {name for name in names if _WILD.isdisjoint(name)}


def _shape(settings: Settings, model: str) -> dict[str, object] | None:
    try:
        found = route(model, settings.kinds, rules=settings.routes)
    except UsageError:
        return None
    return {"id": model, "object": "model", "created": 0, "owned_by": found.provider}
