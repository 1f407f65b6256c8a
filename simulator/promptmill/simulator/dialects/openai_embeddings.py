"""OpenAI's embeddings: vectors of the size that each model has, and no output tokens."""

from typing import Annotated, Any

import msgspec

from promptmill.simulator.answers import Answer
from promptmill.simulator.dialects.base import Context, Prompt, Unreadable, decode_as, encode
from promptmill.simulator.dialects.openai import OpenAI, headers_of
from promptmill.simulator.vectors import in_base64, vector_of
from promptmill.simulator.wire import Reply, Request

_DIMENSIONS = {"text-embedding-3-large": 3072, "text-embedding-3-small": 1536}
_USUAL = 64


class _Body(msgspec.Struct):
    model: str
    input: str | list[str | int | list[int]]
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=4096)] | None = None
    encoding_format: str = "float"

    @property
    def inputs(self) -> list[str]:
        """What is to be embedded; tokens as their numbers."""
        if isinstance(self.input, str):
            return [self.input]
        if all(isinstance(one, int) for one in self.input):
            return [_words(self.input)]
        return [one if isinstance(one, str) else _words(one) for one in self.input]


_decoder = msgspec.json.Decoder(_Body)


class OpenAIEmbeddings(OpenAI):
    """See `Dialect`; limits and refusals are those of chats."""

    def parse(self, request: Request) -> Prompt:
        body = decode_as(_decoder, request.body)
        if not body.input:
            msg = "'$.input' is invalid. Please check the API reference."
            raise Unreadable(msg)
        return Prompt(body.model, "\n".join(body.inputs), None, asked=body, weight=0)

    def thinks(self, model: str) -> bool:  # noqa: ARG002
        return False

    def succeed(self, context: Context, answer: Answer) -> Reply:
        asked: _Body = context.asked
        size = asked.dimensions or _DIMENSIONS.get(context.model, _USUAL)
        vectors: list[Any] = [vector_of(text, size) for text in asked.inputs]
        if asked.encoding_format == "base64":
            vectors = [in_base64(vector) for vector in vectors]
        body = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": number, "embedding": vector}
                for number, vector in enumerate(vectors)
            ],
            "model": context.model,
            "usage": {"prompt_tokens": answer.input_tokens, "total_tokens": answer.input_tokens},
        }
        return Reply(200, encode(body), headers_of(context))


def _words(tokens: Any) -> str:
    return " ".join(map(str, tokens)) if isinstance(tokens, list) else str(tokens)
