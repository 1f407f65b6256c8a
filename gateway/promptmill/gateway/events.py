"""A live answer as the events that OpenAI streams. How it ended is said once it is stored."""

from collections.abc import Iterator
from time import time
from typing import Any, Final, Protocol

from promptmill.gateway.live import Reply
from promptmill.workers.providers.fold import encode_body
from promptmill.workers.providers.listener import Piece

DONE: Final = b"data: [DONE]\n\n"
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})


class Events(Protocol):
    """Says one answer."""

    def say(self, piece: Piece) -> bytes:
        """Say what was heard; b"" where it says nothing."""
        ...

    def end(self, reply: Reply) -> Iterator[bytes]:
        """Say how it ended, or what went wrong; and all of it where nothing was heard before."""
        ...


class ChatEvents:
    """Chunks of a chat completion."""

    def __init__(self, *, has_usage: bool) -> None:
        self._has_usage = has_usage
        self._head: dict[str, Any] = {"created": int(time())}
        self._has_spoken = False

    def say(self, piece: Piece) -> bytes:
        self._head |= {name: piece[name] for name in ("id", "created", "model") if piece.get(name)}
        # Left out: how it ended, and what it used.
        choices = [_without_end(one) for one in piece.get("choices") or () if one.get("delta")]
        if not choices:
            return b""
        self._has_spoken = True
        told = {name: value for name, value in piece.items() if name != "usage"}
        return _data({**told, **self._head, "choices": choices})

    def end(self, reply: Reply) -> Iterator[bytes]:
        if reply.status != 200:
            yield _data(reply.body)
            yield DONE
            return
        body = reply.body
        (choice,) = body["choices"]
        head = {name: body[name] for name in ("id", "created", "model")}
        if self._has_spoken:
            head |= self._head
        head["object"] = "chat.completion.chunk"
        if not self._has_spoken:
            yield _data({**head, "choices": [_chunk(_delta(choice["message"]))]})
        yield _data({**head, "choices": [_chunk({}, choice["finish_reason"])]})
        if self._has_usage:
            yield _data({**head, "choices": [], "usage": body.get("usage")})
        yield DONE


class ResponseEvents:
    """Events of a response: those that its server sends, or such as it would."""

    def __init__(self) -> None:
        self._number = -1

    def say(self, piece: Piece) -> bytes:
        kind = piece.get("type")
        if not isinstance(kind, str) or kind in _ENDS:
            return b""
        return self._next(piece)

    def end(self, reply: Reply) -> Iterator[bytes]:
        if reply.status != 200:
            error = reply.body["error"]
            told = {name: error.get(name) for name in ("code", "message", "param")}
            yield self._next({"type": "error", **told, "error": error})
            return
        if self._number < 0:
            begun = {**reply.body, "status": "in_progress", "output": [], "usage": None}
            yield self._next({"type": "response.created", "response": begun})
            for place, item in enumerate(reply.body["output"]):
                for event in _item_events(item):
                    yield self._next({**event, "output_index": place})
        yield self._next({"type": f"response.{reply.body['status']}", "response": reply.body})

    def _next(self, event: Piece) -> bytes:
        self._number += 1
        return _event({**event, "sequence_number": self._number})


def _item_events(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Say one item of the output from its beginning to its end; of a message its texts, too."""
    is_message = item["type"] == "message"
    content = item.get("content") or () if is_message else ()
    begun = {**item, "status": "in_progress"} | ({"content": []} if is_message else {})
    yield {"type": "response.output_item.added", "item": begun}
    for index, part in enumerate(content):
        place = {"item_id": item["id"], "content_index": index}
        text = part.get("text")
        empty = part if text is None else {**part, "text": ""}
        yield {"type": "response.content_part.added", **place, "part": empty}
        if text is not None:
            said = {**place, "logprobs": []}
            yield {"type": "response.output_text.delta", **said, "delta": text}
            yield {"type": "response.output_text.done", **said, "text": text}
        yield {"type": "response.content_part.done", **place, "part": part}
    yield {"type": "response.output_item.done", "item": item}


def _without_end(choice: dict[str, Any]) -> dict[str, Any]:
    return {**choice, "finish_reason": None}


def _chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def _delta(message: dict[str, Any]) -> dict[str, Any]:
    """Say a whole message as what is new of it."""
    delta = {name: value for name, value in message.items() if value is not None}
    calls = delta.get("tool_calls", ())
    if calls:
        delta["tool_calls"] = [{"index": index, **call} for index, call in enumerate(calls)]
    return delta


def _data(event: Piece) -> bytes:
    # The two halves of a character may come in two pieces, which msgspec refuses to write.
    return b"data: " + encode_body(event) + b"\n\n"


def _event(event: Piece) -> bytes:
    return f"event: {event['type']}\n".encode() + _data(event)
