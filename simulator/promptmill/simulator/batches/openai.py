"""OpenAI's files and batches (https://platform.openai.com/docs/api-reference/batch)."""

import re
import secrets
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import msgspec

from promptmill.simulator import answers
from promptmill.simulator.batches.api import CREATE, READ, UPLOAD, VALIDATE, Route
from promptmill.simulator.batches.work import Came, Row, Work
from promptmill.simulator.dialects import DIALECTS, PATHS
from promptmill.simulator.dialects.base import Unreadable, encode
from promptmill.simulator.engine import Engine
from promptmill.simulator.faults import Trouble
from promptmill.simulator.provider import Provider
from promptmill.simulator.wire import Reply, Request

_WINDOW_S = 24 * 3600
_PAGE = 20
_EXPIRED = "This request could not be executed before the completion window expired."
_BOUNDARY = re.compile(rb'boundary="?([^";]+)')
_NO_CREDIT = ("billing_hard_limit_reached", "Billing hard limit has been reached.")
_TOO_MANY = (
    "Enqueued token limit reached for {model}. Limit: {most:,} enqueued tokens."
    " Please try again once some in_progress batches have been completed."
)
_FIELD = re.compile(rb'name="([^"]+)"')


class _Line(msgspec.Struct):
    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


class _Create(msgspec.Struct):
    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None = None


class _File(msgspec.Struct):
    id: str
    content: bytes
    purpose: str
    created_at: int


class _Batch(msgspec.Struct):
    id: str
    key: str
    asked: _Create
    created_at: int
    work: Work | None
    """None: its input was refused"""
    errors: tuple[dict[str, Any], ...] = ()
    output: str | None = None
    failures: str | None = None
    weights: dict[str, int] = {}
    """by the model: tokens that wait while it is at work"""


class OpenAIBatches:
    """See `BatchApi`."""

    dialect = DIALECTS[Provider.OPENAI]

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._files: dict[str, _File] = {}
        self._batches: dict[str, _Batch] = {}

    def route(self, request: Request) -> Route | None:
        method, path = request.head.method, request.head.path.rstrip("/")
        if not path.startswith(("/v1/files", "/v1/batches")):
            return None
        key = self.dialect.key(request)
        match method, path.split("/")[2:]:
            case "POST", ["files"]:
                return Route(UPLOAD, partial(self._upload, request))
            case "GET", ["files", name, "content"]:
                return Route(READ, partial(self._content, name))
            case "GET", ["files", name]:
                return Route("files.retrieve", partial(self._file, name))
            case "DELETE", ["files", name]:
                return Route("files.delete", partial(self._delete, name))
            case "POST", ["batches"]:
                return Route(CREATE, partial(self._create, request.body, key))
            case "GET", ["batches"]:
                return Route("batches.list", partial(self._list, request.head.query, key))
            case "GET", ["batches", name]:
                return Route("batches.retrieve", partial(self._retrieve, name, key))
            case "POST", ["batches", name, "cancel"]:
                return Route("batches.cancel", partial(self._cancel, name, key))
        return Route("unknown", partial(self._not_found, path))

    def _upload(self, request: Request) -> Reply:
        fields = _multipart(request)
        if "file" not in fields or "purpose" not in fields:
            return self._refuse("Missing required parameter: 'file' or 'purpose'.")
        return self._say(self._shown_file(self._keep(fields["file"], fields["purpose"].decode())))

    def _keep(self, content: bytes, purpose: str) -> _File:
        name = f"file-{secrets.token_hex(12)}"
        self._files[name] = _File(name, content, purpose, int(time.time()))
        return self._files[name]

    def _content(self, name: str) -> Reply:
        file = self._files.get(name)
        if file is None:
            return self._not_found(name)
        return Reply(200, file.content, [], "application/octet-stream")

    def _file(self, name: str) -> Reply:
        file = self._files.get(name)
        return self._not_found(name) if file is None else self._say(self._shown_file(file))

    def _delete(self, name: str) -> Reply:
        if self._files.pop(name, None) is None:
            return self._not_found(name)
        return self._say({"id": name, "object": "file", "deleted": True})

    def _create(self, body: bytes, key: str) -> Reply:
        try:
            asked = msgspec.json.decode(body, type=_Create)
        except msgspec.DecodeError as error:
            return self._refuse(str(error))
        file = self._files.get(asked.input_file_id)
        if file is None or asked.endpoint not in PATHS:
            return self._refuse("Invalid 'input_file_id' or 'endpoint'.")
        rows, errors = _rows(file.content, asked.endpoint)
        weights = _weights(rows, key) if self._engine.config.batch_tokens else {}
        errors = errors or self._problems(rows) or self._excess(weights, key)
        work = None if errors else Work(self._engine, rows, key=key)
        name = f"batch_{secrets.token_hex(12)}"
        self._batches[name] = _Batch(
            name, key, asked, int(time.time()), work, tuple(errors), weights=weights
        )
        return self._retrieve(name, key)

    def _problems(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Tell which rows faults let be wrong; one without money is wrong as a whole."""
        found = []
        for number, row in enumerate(rows, 1):
            fault = self._engine.fault_of(Provider.OPENAI, VALIDATE, row.body.decode())
            if fault is not None and fault.what is Trouble.MONEY:
                return [_problem(None, *_NO_CREDIT)]
            if fault is not None:
                found.append(_problem(number, "invalid_request", "The request is not valid."))
        return found

    def _excess(self, weights: Mapping[str, int], key: str) -> list[dict[str, Any]]:
        """Tell whether more tokens would wait than may."""
        most = self._engine.config.batch_tokens or 0
        at_work = [
            one
            for one in self._batches.values()
            if one.key == key and one.work is not None and one.work.came is None
        ]
        for model, tokens in weights.items():
            if tokens + sum(one.weights.get(model, 0) for one in at_work) > most:
                message = _TOO_MANY.format(model=model, most=most)
                return [_problem(None, "token_limit_exceeded", message)]
        return []

    def _list(self, query: str, key: str) -> Reply:
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        newest = [name for name, one in reversed(self._batches.items()) if one.key == key]
        start = newest.index(asked["after"]) + 1 if asked.get("after") in newest else 0
        end = start + int(asked.get("limit", _PAGE))
        page = newest[start:end]
        return self._say(
            {
                "object": "list",
                "data": [self._shown(self._batches[name]) for name in page],
                "first_id": page[0] if page else None,
                "last_id": page[-1] if page else None,
                "has_more": end < len(newest),
            }
        )

    def _retrieve(self, name: str, key: str) -> Reply:
        batch = self._of(key, name)
        return self._not_found(name) if batch is None else self._say(self._shown(batch))

    def _of(self, key: str, name: str) -> _Batch | None:
        batch = self._batches.get(name)
        return batch if batch is not None and batch.key == key else None

    def _cancel(self, name: str, key: str) -> Reply:
        batch = self._of(key, name)
        if batch is None:
            return self._not_found(name)
        if batch.work is None or batch.work.came is not None:
            return Reply(409, encode({"error": {"message": "Cannot cancel: it has ended."}}), [])
        batch.work.cancel()
        return self._say(self._shown(batch))

    def _shown(self, batch: _Batch) -> dict[str, Any]:
        work = batch.work
        came = work.came if work is not None else None
        if work is not None and came is not None and batch.output is batch.failures is None:
            self._write_files(batch, work, came)
        answered = [one for one in came or () if one.reply is not None]
        good = sum(one.reply is not None and one.reply.status == 200 for one in answered)
        shown: dict[str, Any] = {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.asked.endpoint,
            "input_file_id": batch.asked.input_file_id,
            "completion_window": batch.asked.completion_window,
            "status": _status(work, ended=came is not None),
            "created_at": batch.created_at,
            "expires_at": batch.created_at + _WINDOW_S,
            "request_counts": {
                "total": 0 if work is None else work.total,
                "completed": good,
                "failed": len(answered) - good,
            },
            "metadata": batch.asked.metadata,
        }
        if batch.errors:
            shown["errors"] = {"object": "list", "data": list(batch.errors)}
        if batch.output is not None:
            shown["output_file_id"] = batch.output
        if batch.failures is not None:
            shown["error_file_id"] = batch.failures
        return shown

    def _write_files(self, batch: _Batch, work: Work, came: list[Came]) -> None:
        good = [one for one in came if one.reply is not None and one.reply.status == 200]
        bad = [one for one in came if one.reply is None or one.reply.status != 200]
        for name, rows in (("output", good), ("failures", bad)):
            if rows:
                lines = b"".join(_said(one, work) + b"\n" for one in rows)
                setattr(batch, name, self._keep(lines, "batch_output").id)

    def _shown_file(self, file: _File) -> dict[str, Any]:
        return {
            "id": file.id,
            "object": "file",
            "bytes": len(file.content),
            "created_at": file.created_at,
            "filename": f"{file.id}.jsonl",
            "purpose": file.purpose,
            "status": "processed",
        }

    def _say(self, body: dict[str, Any]) -> Reply:
        return Reply(200, encode(body), [("x-request-id", f"req_{secrets.token_hex(8)}")])

    def _refuse(self, message: str) -> Reply:
        context = self._engine.context_of_none()
        return self.dialect.refuse(context, Trouble.INVALID_REQUEST, message=message)

    def _not_found(self, name: str) -> Reply:
        said = {"message": f"No such object: {name}", "type": "invalid_request_error"}
        return Reply(404, encode({"error": {**said, "param": "id", "code": None}}), [])


def _status(work: Work | None, *, ended: bool) -> str:
    if work is None:
        return "failed"
    if not ended:
        return "in_progress"
    if work.is_cancelled:
        return "cancelled"
    return "expired" if work.is_expired else "completed"


def _rows(content: bytes, endpoint: str) -> tuple[list[Row], list[dict[str, Any]]]:
    """Read the lines of an input file, or tell what is wrong with them."""
    rows, errors, seen = [], [], set()
    for number, raw in enumerate(content.splitlines(), 1):
        try:
            line = msgspec.json.decode(raw, type=_Line)
        except msgspec.DecodeError as error:
            errors.append(_problem(number, "invalid_json_line", str(error)))
            continue
        if line.url != endpoint:
            errors.append(_problem(number, "mismatched_endpoint", "The url is another one."))
        if line.custom_id in seen:
            errors.append(_problem(number, "duplicate_custom_id", "The custom_id is not unique."))
        seen.add(line.custom_id)
        rows.append(Row(line.custom_id, PATHS[endpoint], line.url, bytes(line.body)))
    if not rows and not errors:
        errors.append(_problem(None, "empty_file", "The input file has no requests."))
    return rows, errors


def _weights(rows: Sequence[Row], key: str) -> dict[str, int]:
    """Add up the input tokens of each model."""
    weights: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        with suppress(Unreadable):
            prompt = row.dialect.parse(row.request(key))
            weights[prompt.model] += answers.count_tokens(prompt.text)
    return dict(weights)


def _problem(line: int | None, code: str, message: str) -> dict[str, Any]:
    return {"code": code, "message": message, "param": None, "line": line}


def _said(one: Came, work: Work) -> bytes:
    said: dict[str, Any] = {
        "id": f"batch_req_{secrets.token_hex(8)}",
        "custom_id": one.custom_id,
        "response": None,
        "error": None,
    }
    if one.reply is None:
        code, why = "batch_expired", _EXPIRED
        if work.is_cancelled:
            code, why = "batch_cancelled", "This request was cancelled."
        said["error"] = {"code": code, "message": why}
    else:
        said["response"] = {
            "status_code": one.reply.status,
            "request_id": f"req_{secrets.token_hex(8)}",
            "body": msgspec.Raw(one.reply.body),
        }
    return encode(said)


def _multipart(request: Request) -> dict[str, bytes]:
    """Read the fields of a form."""
    found = _BOUNDARY.search(request.head.headers.get(b"content-type", b""))
    if found is None:
        return {}
    fields = {}
    for part in request.body.split(b"--" + found[1]):
        head, _, content = part.partition(b"\r\n\r\n")
        named = _FIELD.search(head)
        if named:
            fields[named[1].decode()] = content.removesuffix(b"\r\n")
    return fields
