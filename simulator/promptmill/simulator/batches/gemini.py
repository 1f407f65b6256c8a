"""Gemini's files and batches (https://ai.google.dev/gemini-api/docs/batch-api)."""

import secrets
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import msgspec

from promptmill.simulator.batches.api import CREATE, READ, UPLOAD, Route
from promptmill.simulator.batches.work import Came, Row, Work
from promptmill.simulator.dialects import DIALECTS
from promptmill.simulator.dialects.base import encode
from promptmill.simulator.engine import Engine
from promptmill.simulator.faults import Trouble
from promptmill.simulator.provider import Provider
from promptmill.simulator.wire import Reply, Request

_VERSION = "/v1beta/"
_UPLOAD = "/upload/v1beta/files"
_DOWNLOAD = ":download"
_CREATING = ":batchGenerateContent"


class _Line(msgspec.Struct):
    key: str
    request: msgspec.Raw


class _Input(msgspec.Struct, rename="camel"):
    file_name: str


class _Asked(msgspec.Struct, rename="camel"):
    input_config: _Input
    display_name: str = ""


class _Create(msgspec.Struct):
    batch: _Asked


class _Batch(msgspec.Struct):
    name: str
    display_name: str
    created_at: datetime
    work: Work
    output: str | None = None


class GeminiBatches:
    """See `BatchApi`. A batch that expires or is cancelled gives nothing out."""

    dialect = DIALECTS[Provider.GEMINI]

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._files: dict[str, bytes] = {}
        self._batches: dict[str, _Batch] = {}

    def route(self, request: Request) -> Route | None:
        method, path = request.head.method, request.head.path
        if method == "POST" and path == _UPLOAD:
            return Route(UPLOAD, partial(self._upload, request))
        if method == "POST" and path.endswith(_CREATING):
            return Route(CREATE, partial(self._create, request))
        if path.startswith(f"{_VERSION}files/") and path.endswith(_DOWNLOAD):
            name = path.removeprefix(_VERSION).removesuffix(_DOWNLOAD)
            return Route(READ, partial(self._content, name))
        if not path.startswith(f"{_VERSION}batches"):
            return None
        name, key = path.removeprefix(_VERSION), self.dialect.key(request)
        if method == "POST":
            cancelled = name.removesuffix(":cancel")
            return Route("batches.cancel", partial(self._cancel, cancelled, key))
        if name == "batches":
            return Route("batches.list", partial(self._list, request.head.query, key))
        return Route("batches.retrieve", partial(self._retrieve, name, key))

    def _upload(self, request: Request) -> Reply:
        head = request.head
        if head.header(b"x-goog-upload-command") == "start":
            name = f"files/{secrets.token_hex(6)}"
            where = f"http://{head.header(b'host')}{_UPLOAD}?upload_id={name}"
            return Reply(200, b"{}", [("x-goog-upload-url", where)])
        name = parse_qs(head.query)["upload_id"][0]
        self._files[name] = request.body
        told = {"file": {"name": name, "state": "ACTIVE", "sizeBytes": str(len(request.body))}}
        return Reply(200, encode(told), [("x-goog-upload-status", "final")])

    def _create(self, request: Request) -> Reply:
        try:
            asked = msgspec.json.decode(request.body, type=_Create).batch
            lines = self._files[asked.input_config.file_name].splitlines()
            told = [msgspec.json.decode(line, type=_Line) for line in lines]
        except (msgspec.DecodeError, KeyError) as error:
            return self._refuse(Trouble.INVALID_REQUEST, str(error))
        path = request.head.path.replace(_CREATING, ":generateContent")
        rows = [Row(one.key, self.dialect, path, _as_read(one.request)) for one in told]
        key = self.dialect.key(request)
        work = Work(self._engine, rows, key=key, is_all_or_none=True)
        name = f"batches/{secrets.token_hex(8)}"
        self._batches[name] = _Batch(name, asked.display_name, datetime.now(UTC), work)
        return self._retrieve(name, key)

    def _list(self, query: str, key: str) -> Reply:
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        newest = [one for one in reversed(self._batches.values()) if one.work.key == key]
        start, size = int(asked.get("pageToken", 0)), int(asked.get("pageSize", 50))
        page: dict[str, Any] = {
            "operations": [self._shown(one) for one in newest[start : start + size]]
        }
        if start + size < len(newest):
            page["nextPageToken"] = str(start + size)
        return Reply(200, encode(page), [])

    def _of(self, key: str, name: str) -> _Batch | None:
        batch = self._batches.get(name)
        return batch if batch is not None and batch.work.key == key else None

    def _retrieve(self, name: str, key: str) -> Reply:
        batch = self._of(key, name)
        if batch is None:
            return self._refuse(Trouble.MODEL_NOT_FOUND)
        return Reply(200, encode(self._shown(batch)), [])

    def _cancel(self, name: str, key: str) -> Reply:
        batch = self._of(key, name)
        if batch is None:
            return self._refuse(Trouble.MODEL_NOT_FOUND)
        batch.work.cancel()
        return Reply(200, b"{}", [])

    def _content(self, name: str) -> Reply:
        if name not in self._files:
            return self._refuse(Trouble.MODEL_NOT_FOUND)
        return Reply(200, self._files[name], [], "application/octet-stream")

    def _shown(self, batch: _Batch) -> dict[str, Any]:
        work, came = batch.work, batch.work.came
        state = _state(work, ended=came is not None)
        metadata: dict[str, Any] = {
            "displayName": batch.display_name,
            "state": f"BATCH_STATE_{state}",
            "createTime": batch.created_at.isoformat(),
            "batchStats": {"requestCount": str(work.total)},
        }
        if state == "SUCCEEDED" and came is not None:
            batch.output = batch.output or self._write(came)
            good = sum(one.reply is not None and one.reply.status == 200 for one in came)
            metadata["batchStats"]["successfulRequestCount"] = str(good)
            metadata["output"] = {"responsesFile": batch.output}
        return {"name": batch.name, "metadata": metadata, "done": came is not None}

    def _write(self, came: list[Came]) -> str:
        name = f"files/batch-{secrets.token_hex(6)}"
        self._files[name] = b"\n".join(_line(one) for one in came)
        return name

    def _refuse(self, trouble: Trouble, message: str | None = None) -> Reply:
        return self.dialect.refuse(self._engine.context_of_none(), trouble, message=message)


def _as_read(request: msgspec.Raw) -> bytes:
    """Leave out what Google's Batch API does not keep to, so that answers have the wrong shape."""
    written = bytes(request)
    if b"responseJsonSchema" not in written:
        return written
    told = msgspec.json.decode(written)
    told["generationConfig"].pop("responseJsonSchema", None)
    return encode(told)


def _state(work: Work, *, ended: bool) -> str:
    if not ended:
        return "RUNNING"
    if work.is_cancelled:
        return "CANCELLED"
    return "EXPIRED" if work.is_expired else "SUCCEEDED"


def _line(one: Came) -> bytes:
    if one.reply is not None and one.reply.status == 200:
        return encode({"key": one.custom_id, "response": msgspec.Raw(one.reply.body)})
    said = msgspec.json.decode(one.reply.body) if one.reply is not None else {}
    return encode({"key": one.custom_id, "error": said.get("error", {})})
