"""Anthropic's message batches (https://docs.claude.com/en/api/creating-message-batches)."""

import secrets
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import msgspec

from promptmill.simulator.batches.api import CREATE, READ, Route
from promptmill.simulator.batches.work import Came, Row, Work
from promptmill.simulator.dialects import DIALECTS
from promptmill.simulator.dialects.base import encode
from promptmill.simulator.engine import Engine
from promptmill.simulator.faults import Trouble
from promptmill.simulator.provider import Provider
from promptmill.simulator.wire import Reply, Request

_PATH = "/v1/messages/batches"
_WINDOW = timedelta(hours=24)
_PAGE = 20


class _Request(msgspec.Struct):
    custom_id: str
    params: msgspec.Raw


class _Create(msgspec.Struct):
    requests: list[_Request]


class _Batch(msgspec.Struct):
    id: str
    created_at: datetime
    work: Work


class AnthropicBatches:
    """See `BatchApi`."""

    dialect = DIALECTS[Provider.ANTHROPIC]

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._batches: dict[str, _Batch] = {}

    def route(self, request: Request) -> Route | None:
        method, path = request.head.method, request.head.path.rstrip("/")
        if not path.startswith(_PATH):
            return None
        key = self.dialect.key(request)
        match method, path.removeprefix(_PATH).strip("/").split("/"):
            case "POST", [""]:
                return Route(CREATE, partial(self._create, request.body, key))
            case "GET", [""]:
                return Route("batches.list", partial(self._list, request.head.query, key))
            case "GET", [name]:
                return Route("batches.retrieve", partial(self._retrieve, name, key))
            case "GET", [name, "results"]:
                return Route(READ, partial(self._results, name, key))
            case "POST", [name, "cancel"]:
                return Route("batches.cancel", partial(self._cancel, name, key))
        return Route("unknown", partial(self._refuse, Trouble.MODEL_NOT_FOUND))

    def _create(self, body: bytes, key: str) -> Reply:
        try:
            asked = msgspec.json.decode(body, type=_Create).requests
        except msgspec.DecodeError as error:
            return self._refuse(Trouble.INVALID_REQUEST, str(error))
        if len({one.custom_id for one in asked}) != len(asked) or not asked:
            return self._refuse(Trouble.INVALID_REQUEST, "requests: custom_id must be unique")
        rows = [
            Row(one.custom_id, self.dialect, "/v1/messages", bytes(one.params)) for one in asked
        ]
        name = f"msgbatch_{secrets.token_hex(12)}"
        work = Work(self._engine, rows, key=key)
        self._batches[name] = _Batch(name, datetime.now(UTC), work)
        return self._retrieve(name, key)

    def _list(self, query: str, key: str) -> Reply:
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        newest = [name for name, one in reversed(self._batches.items()) if one.work.key == key]
        start = newest.index(asked["after_id"]) + 1 if asked.get("after_id") in newest else 0
        end = start + int(asked.get("limit", _PAGE))
        page = newest[start:end]
        body = {
            "data": [_shown(self._batches[name]) for name in page],
            "first_id": page[0] if page else None,
            "last_id": page[-1] if page else None,
            "has_more": end < len(newest),
        }
        return Reply(200, encode(body), [])

    def _of(self, key: str, name: str) -> _Batch | None:
        batch = self._batches.get(name)
        return batch if batch is not None and batch.work.key == key else None

    def _retrieve(self, name: str, key: str) -> Reply:
        batch = self._of(key, name)
        if batch is None:
            return self._refuse(Trouble.MODEL_NOT_FOUND)
        return Reply(200, encode(_shown(batch)), [])

    def _cancel(self, name: str, key: str) -> Reply:
        if (batch := self._of(key, name)) is not None:
            batch.work.cancel()
        return self._retrieve(name, key)

    def _results(self, name: str, key: str) -> Reply:
        batch = self._of(key, name)
        came = None if batch is None else batch.work.came
        if batch is None or came is None:
            return self._refuse(Trouble.MODEL_NOT_FOUND)
        lines = [
            encode({"custom_id": one.custom_id, "result": _result(one, batch.work)}) for one in came
        ]
        return Reply(200, b"\n".join(lines), [], "application/x-jsonl")

    def _refuse(self, trouble: Trouble, message: str | None = None) -> Reply:
        return self.dialect.refuse(self._engine.context_of_none(), trouble, message=message)


def _shown(batch: _Batch) -> dict[str, Any]:
    work, came = batch.work, batch.work.came
    kinds = [_result(one, work)["type"] for one in came or ()]
    names = ("succeeded", "errored", "canceled", "expired")
    counts = {name: kinds.count(name) for name in names}
    # A row that was dropped is told of as done.
    counts["succeeded"] += work.total - len(kinds) if came is not None else 0
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "in_progress" if came is None else "ended",
        "request_counts": {"processing": work.total if came is None else 0, **counts},
        "created_at": batch.created_at.isoformat(),
        "expires_at": (batch.created_at + _WINDOW).isoformat(),
        "ended_at": None if came is None else datetime.now(UTC).isoformat(),
        "archived_at": None,
        "cancel_initiated_at": batch.created_at.isoformat() if work.is_cancelled else None,
        "results_url": None if came is None else f"{_PATH}/{batch.id}/results",
    }


def _result(one: Came, work: Work) -> dict[str, Any]:
    if one.reply is None:
        return {"type": "canceled" if work.is_cancelled else "expired"}
    if one.reply.status == 200:
        return {"type": "succeeded", "message": msgspec.Raw(one.reply.body)}
    return {"type": "errored", "error": msgspec.Raw(one.reply.body)}
