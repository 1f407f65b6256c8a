"""Gemini's embedContent, and batchEmbedContents, as which google-genai says it."""

from typing import Annotated, Any

import msgspec

from promptmill.simulator.answers import Answer
from promptmill.simulator.dialects.base import (
    Context,
    Prompt,
    Unreadable,
    decode_as,
    text_of,
)
from promptmill.simulator.dialects.gemini import Gemini, json_reply, model_of
from promptmill.simulator.vectors import vector_of
from promptmill.simulator.wire import Reply, Request

_USUAL = 3072


class _Part(msgspec.Struct):
    text: str | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] = []


class _Body(msgspec.Struct, rename="camel"):
    content: _Content
    output_dimensionality: Annotated[int, msgspec.Meta(ge=1, le=3072)] | None = None

    @property
    def text(self) -> str:
        """All of its text."""
        return "\n".join(text_of(self.content.parts))

    @property
    def vector(self) -> dict[str, Any]:
        """Embed it."""
        return {"values": vector_of(self.text, self.output_dimensionality or _USUAL)}


class _Bodies(msgspec.Struct):
    requests: list[_Body]


_decoder = msgspec.json.Decoder(_Body)
_batch_decoder = msgspec.json.Decoder(_Bodies)


class GeminiEmbed(Gemini):
    """See `Dialect`; limits and refusals are those of generateContent."""

    def parse(self, request: Request) -> Prompt:
        asked: _Body | _Bodies
        if request.head.path.endswith(":batchEmbedContents"):
            asked = decode_as(_batch_decoder, request.body)
            texts = [one.text for one in asked.requests]
        else:
            asked = decode_as(_decoder, request.body)
            texts = [asked.text]
        if not any(texts):
            msg = "* EmbedContentRequest.content: contents is not specified"
            raise Unreadable(msg)
        return Prompt(model_of(request), "\n".join(texts), None, asked=asked, weight=0)

    def thinks(self, model: str) -> bool:  # noqa: ARG002
        return False

    def succeed(self, context: Context, answer: Answer) -> Reply:
        usage = {"promptTokenCount": answer.input_tokens}
        asked = context.asked
        if isinstance(asked, _Bodies):
            vectors = [one.vector for one in asked.requests]
            return json_reply({"embeddings": vectors, "usageMetadata": usage})
        return json_reply({"embedding": asked.vector, "usageMetadata": usage})
