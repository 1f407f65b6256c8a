"""OpenAI's image generations (https://platform.openai.com/docs/api-reference/images/create)."""

from collections.abc import Iterator
from typing import Final

import msgspec

from promptmill.workers.providers.base import Answer, Media
from promptmill.workers.providers.openai.responses import usage_of
from promptmill.workers.providers.operation import (
    COMPLETED,
    Envelope,
    Operation,
    Unusable,
    native_body,
)
from promptmill.workers.providers.reply import Reply, decode

_MEDIA_TYPES: Final = {"jpg": "image/jpeg", "svg": "image/svg+xml"}


class _Image(msgspec.Struct):
    b64_json: str | None = None


class _Images(msgspec.Struct):
    data: list[_Image]
    output_format: str | None = None


def _read(reply: Reply, envelope: Envelope) -> Answer | Unusable:
    images = decode(reply.body, _Images)
    if images is None or not images.data:
        return Unusable("no images")
    return Answer(
        text=None,
        finish_reason=COMPLETED,
        usage=usage_of(reply),
        request_id=envelope.request_id,
        limits=envelope.limits,
    )


def _media(reply: Reply) -> Iterator[Media]:
    """Find the images that came; one that is told by its address is not fetched."""
    images = decode(reply.body, _Images)
    if images is None:
        return
    word = images.output_format or "png"
    for image in images.data:
        if image.b64_json:
            yield Media(_MEDIA_TYPES.get(word, f"image/{word}"), image.b64_json)


IMAGES: Final = Operation("/images/generations", native_body, _read, usage_of, media=_media)
