"""OpenAI's image generations: pictures of one pixel, weighed as the guide weighs large ones."""

from typing import Annotated

import msgspec

from promptmill.simulator.answers import Answer
from promptmill.simulator.dialects.base import Context, Prompt, Unreadable, decode_as, encode
from promptmill.simulator.dialects.openai import OpenAI, headers_of
from promptmill.simulator.pictures import in_base64
from promptmill.simulator.wire import Reply, Request

# Tokens of a square image by its quality: OpenAI's guide "Image generation".
_WEIGHTS = {"low": 272, "medium": 1056, "high": 4160}


class _Body(msgspec.Struct):
    model: str
    prompt: str
    n: Annotated[int, msgspec.Meta(ge=1, le=10)] = 1
    quality: str = "low"


_decoder = msgspec.json.Decoder(_Body)


class OpenAIImages(OpenAI):
    """See `Dialect`; limits and refusals are those of chats."""

    def parse(self, request: Request) -> Prompt:
        body = decode_as(_decoder, request.body)
        if not body.prompt:
            msg = "Invalid 'prompt': string too short. Expected a string with minimum length 1."
            raise Unreadable(msg)
        weight = body.n * _WEIGHTS.get(body.quality, _WEIGHTS["low"])
        return Prompt(body.model, body.prompt, None, asked=body, weight=weight)

    def thinks(self, model: str) -> bool:  # noqa: ARG002
        return False

    def succeed(self, context: Context, answer: Answer) -> Reply:
        asked: _Body = context.asked
        given, drawn = answer.input_tokens, answer.output_tokens
        body = {
            "created": int(context.wall_time),
            "background": "opaque",
            "data": [{"b64_json": in_base64(f"{asked.prompt} {n}")} for n in range(asked.n)],
            "output_format": "png",
            "quality": asked.quality,
            "size": "1024x1024",
            "usage": {
                "input_tokens": given,
                "input_tokens_details": {"image_tokens": 0, "text_tokens": given},
                "output_tokens": drawn,
                "output_tokens_details": {"image_tokens": drawn, "text_tokens": 0},
                "total_tokens": given + drawn,
            },
        }
        return Reply(200, encode(body), headers_of(context))
