"""Claude at Vertex AI: Anthropic's messages, with the model in the address.

https://docs.claude.com/en/api/claude-on-vertex-ai.
"""

from typing import Any

import msgspec

from promptmill.simulator.dialects.anthropic import Anthropic
from promptmill.simulator.dialects.base import Prompt, Unreadable, decode_as, encode
from promptmill.simulator.dialects.gemini import model_of
from promptmill.simulator.wire import Request

_decoder = msgspec.json.Decoder(dict[str, Any])


class AnthropicVertex(Anthropic):
    """See `Dialect`."""

    def parse(self, request: Request) -> Prompt:
        body = decode_as(_decoder, request.body)
        if "model" in body:
            msg = "model: Extra inputs are not permitted"
            raise Unreadable(msg)
        if "anthropic_version" not in body:
            msg = "anthropic_version: Field required"
            raise Unreadable(msg)
        streams = request.head.path.endswith(":streamRawPredict")
        whole = {**body, "model": model_of(request), "stream": streams}
        return super().parse(Request(request.head, encode(whole)))
