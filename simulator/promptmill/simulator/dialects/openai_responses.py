"""OpenAI's responses: a message, or the call of a tool that the request insists on."""

from typing import Any

import msgspec

from promptmill.simulator.answers import Answer
from promptmill.simulator.dialects.base import (
    EVENT_STREAM,
    Context,
    Prompt,
    Unreadable,
    decode_as,
    encode,
    event,
    text_of,
)
from promptmill.simulator.dialects.openai import OpenAI, headers_of
from promptmill.simulator.pictures import in_base64
from promptmill.simulator.wire import Reply, Request


class _Part(msgspec.Struct):
    text: str | None = None


class _Item(msgspec.Struct):
    content: str | list[_Part] | None = None


class _Tool(msgspec.Struct):
    type: str
    name: str = ""


class _Body(msgspec.Struct):
    model: str
    input: str | list[_Item]
    instructions: str | None = None
    max_output_tokens: int | None = None
    tools: list[_Tool] = []
    tool_choice: Any = "auto"
    stream: bool | None = None
    background: bool = False


_decoder = msgspec.json.Decoder(_Body)


class OpenAIResponses(OpenAI):
    """See `Dialect`; limits and refusals are those of chats."""

    def parse(self, request: Request) -> Prompt:
        body = decode_as(_decoder, request.body)
        if not body.input:
            msg = "Missing required parameter: 'input'."
            raise Unreadable(msg)
        items = [_Item(body.input)] if isinstance(body.input, str) else body.input
        texts = [text for item in items for text in text_of(item.content)]
        said = [body.instructions, *texts] if body.instructions else texts
        return Prompt(
            body.model,
            "\n".join(said),
            body.max_output_tokens,
            bool(body.stream),
            asked=body,
            in_background=body.background,
        )

    def succeed(self, context: Context, answer: Answer) -> Reply:
        asked: _Body = context.asked
        given, said = answer.input_tokens, answer.output_tokens + answer.thinking_tokens
        body = {
            "id": f"resp_{context.request_id}",
            "object": "response",
            "created_at": int(context.wall_time),
            "status": "incomplete" if answer.is_cut else "completed",
            "background": asked.background,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if answer.is_cut else None,
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "metadata": {},
            "model": context.model,
            "output": _output(context, answer),
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "temperature": 1.0,
            "tool_choice": asked.tool_choice,
            "tools": [],
            "top_p": 1.0,
            "usage": {
                "input_tokens": given,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": said,
                "output_tokens_details": {"reasoning_tokens": answer.thinking_tokens},
                "total_tokens": given + said,
            },
        }
        return Reply(200, encode(body), headers_of(context))

    def stream(self, context: Context, prompt: Prompt, answer: Answer, texts: list[str]) -> Reply:  # noqa: ARG002
        whole = msgspec.json.decode(self.succeed(context, answer).body)
        begun = {**whole, "status": "in_progress", "output": [], "usage": None}
        said = [
            {"type": "response.created", "response": begun},
            {"type": "response.in_progress", "response": begun},
            *(
                {**one, "output_index": at}
                for at, item in enumerate(whole["output"])
                for one in _item_events(item, texts)
            ),
            {"type": f"response.{whole['status']}", "response": whole},
        ]
        events = (
            event({**one, "sequence_number": number}, str(one["type"]))
            for number, one in enumerate(said)
        )
        return Reply(200, b"", headers_of(context), EVENT_STREAM, tuple(events))

    def error_event(self, body: bytes) -> bytes:
        error = msgspec.json.decode(body)["error"]
        return event(
            {"type": "error", "param": None, "sequence_number": 0, **_said(error)}, "error"
        )


def _said(error: dict[str, Any]) -> dict[str, Any]:
    return {"code": error.get("code") or error.get("type"), "message": error.get("message", "")}


def _item_events(item: dict[str, Any], texts: list[str]) -> list[dict[str, Any]]:
    """Say one item of the output, from its beginning to its end; of a message also its text."""
    added = {"type": "response.output_item.added", "item": {**item, "status": "in_progress"}}
    done = {"type": "response.output_item.done", "item": item}
    if item["type"] != "message":
        return [added, done]
    added["item"] = {**item, "status": "in_progress", "content": []}
    (part,) = item["content"]
    place = {"item_id": item["id"], "content_index": 0}
    deltas = [
        {"type": "response.output_text.delta", **place, "delta": text, "logprobs": []}
        for text in texts
    ]
    empty = {**part, "text": ""}
    return [
        added,
        {"type": "response.content_part.added", **place, "part": empty},
        *deltas,
        {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
        done,
    ]


def _output(context: Context, answer: Answer) -> list[dict[str, Any]]:
    asked: _Body = context.asked
    output: list[dict[str, Any]] = []
    if answer.thinking_tokens:
        output.append({"type": "reasoning", "id": f"rs_{context.request_id}", "summary": []})
    if asked.tool_choice == "required":
        output += [_call(context, tool, answer) for tool in asked.tools]
    else:
        part = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
        message = {
            "type": "message",
            "id": f"msg_{context.request_id}",
            "status": "incomplete" if answer.is_cut else "completed",
            "role": "assistant",
            "content": [part],
        }
        output.append(message)
    return output


def _call(context: Context, tool: _Tool, answer: Answer) -> dict[str, Any]:
    if tool.type == "image_generation":
        return {
            "type": "image_generation_call",
            "id": f"ig_{context.request_id}",
            "status": "completed",
            "output_format": "png",
            "result": in_base64(answer.text),
        }
    return {
        "type": "function_call",
        "id": f"fc_{context.request_id}",
        "call_id": f"call_{context.request_id}",
        "name": tool.name,
        "arguments": "{}",
        "status": "completed",
    }
