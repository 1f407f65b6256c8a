"""OpenAI's moderations: what says "harm" is flagged. Nothing is charged, and no usage is told."""

from typing import Any

import msgspec

from promptmill.simulator.answers import Answer
from promptmill.simulator.dialects.base import (
    Context,
    Prompt,
    Unreadable,
    decode_as,
    encode,
    text_of,
)
from promptmill.simulator.dialects.openai import OpenAI, headers_of
from promptmill.simulator.wire import Reply, Request

_CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit",
    "illicit/violent", "self-harm", "self-harm/instructions", "self-harm/intent", "sexual",
    "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip


class _Part(msgspec.Struct):
    text: str | None = None


class _Body(msgspec.Struct):
    input: str | list[Any]
    model: str = "omni-moderation-latest"

    @property
    def inputs(self) -> list[str]:
        """What is to be judged: each text by itself, or the parts of one content together."""
        if isinstance(self.input, str):
            return [self.input]
        if all(isinstance(one, str) for one in self.input):
            return self.input
        return ["\n".join(text_of(msgspec.convert(self.input, list[_Part])))]


_decoder = msgspec.json.Decoder(_Body)


class OpenAIModerations(OpenAI):
    """See `Dialect`; limits and refusals are those of chats."""

    def parse(self, request: Request) -> Prompt:
        body = decode_as(_decoder, request.body)
        if not body.input:
            msg = "Invalid 'input': empty."
            raise Unreadable(msg)
        try:
            text = "\n".join(body.inputs)
        except msgspec.ValidationError as error:
            raise Unreadable(str(error)) from None
        return Prompt(body.model, text, None, asked=body, weight=0)

    def thinks(self, model: str) -> bool:  # noqa: ARG002
        return False

    def succeed(self, context: Context, answer: Answer) -> Reply:
        del answer
        asked: _Body = context.asked
        body = {
            "id": f"modr-{context.request_id}",
            "model": context.model,
            "results": [_verdict(text) for text in asked.inputs],
        }
        return Reply(200, encode(body), headers_of(context))


def _verdict(text: str) -> dict[str, Any]:
    is_flagged = "harm" in text.lower()
    scores = dict.fromkeys(_CATEGORIES, 0.0001)
    if is_flagged:
        scores["violence"] = 0.9
    return {
        "flagged": is_flagged,
        "categories": {name: score > 0.5 for name, score in scores.items()},
        "category_scores": scores,
        "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
    }
