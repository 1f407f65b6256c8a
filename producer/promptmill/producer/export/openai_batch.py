"""The two files of OpenAI's Batch API: answers, and errors. Together: every custom_id, once.

Whoever reads what OpenAI's own batches give reads these. What failed by HTTP has its `response`;
what was cancelled, has not ended yet, or came with a 200 and is no answer has an `error`, as an
expired batch has there.

Lines: `BatchRequestOutput` of OpenAI's API description. A body is the one that OpenAI sent, where
it is kept; else it is made of the columns, as `CreateChatCompletionResponse`.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import msgspec

from promptmill.producer.export.sheet import Rows
from promptmill.schema.embeddings import embeddings_in
from promptmill.schema.requests import Endpoint

_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "safety": "content_filter",
    "prohibited_content": "content_filter",
    "blocklist": "content_filter",
    "recitation": "content_filter",
    "spii": "content_filter",
}
"""what other providers say, by OpenAI's words"""
_FIELDS = {
    Endpoint.CHAT: "choices",
    Endpoint.RESPONSES: "output",
    Endpoint.EMBEDDINGS: "data",
    Endpoint.IMAGES: "data",
    Endpoint.MODERATIONS: "results",
}
"""what tells a body of OpenAI's from one of another provider"""
_NO_ANSWER = {
    "cancelled": ("batch_cancelled", "This request was cancelled before it was answered."),
    "failed": ("request_failed", "This request was given up."),
    "quarantined": ("outcome_unknown", "It is not known whether this request was answered."),
}
_EXPIRED = (
    "batch_expired",
    "This request could not be executed before the completion window expired.",
)
_LEAST_ERROR = 400
"""HTTP status"""
_NOT_ENDED = ("batch_not_finished", "This request had no answer yet when the file was written.")


class _Job(msgspec.Struct, frozen=True):
    """What is read of each job; its fields are columns of an export."""

    job_id: int
    custom_id: str
    state: str
    text: str | None
    tool_calls: str | None
    finish_reason: str | None
    response_model: str | None
    model: str
    response_id: str | None
    request_id: str | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    reasoning_tokens: int | None
    error_kind: str | None
    error_code: str | None
    error_text: str | None
    http_status: int | None
    finished_at: str | None
    endpoint: str
    body: str | None


BATCH_COLUMNS: tuple[str, ...] = _Job.__struct_fields__


class OpenAIBatch:
    """Writes each row to *answers* or to *errors*."""

    def __init__(self, answers: IO[bytes], errors: IO[bytes], *, expired: bool = False) -> None:
        """*expired*: what was cancelled had run out of its time."""
        self._answers, self._errors = answers, errors
        self._encoder = msgspec.json.Encoder()
        self._no_answer = _NO_ANSWER | ({"cancelled": _EXPIRED} if expired else {})
        self.answers = self.errors = 0

    def write(self, rows: Rows) -> None:
        jobs = [_Job(*row) for row in rows]
        answered = [_answer(job) for job in jobs if job.state == "succeeded"]
        failed = [_failure(job, self._no_answer) for job in jobs if job.state != "succeeded"]
        self._answers.write(self._encoder.encode_lines(answered))
        self._errors.write(self._encoder.encode_lines(failed))
        self.answers += len(answered)
        self.errors += len(failed)

    def close(self) -> None:
        """Nothing is left to write."""


def error_file(path: Path) -> Path:
    """Name the error file beside the file of answers: `out.jsonl` has `out.errors.jsonl`."""
    zipped = path.suffix == ".gz"
    name = Path(path.stem) if zipped else path
    return path.with_name(f"{name.stem}.errors{name.suffix}{'.gz' if zipped else ''}")


def _answer(job: _Job) -> dict[str, Any]:
    body = _own(job) or _embedded(job) or _completion(job)
    return _line(job, {"status_code": 200, "request_id": job.request_id or "", "body": body}, None)


def _own(job: _Job) -> msgspec.Raw | None:
    """Take the body that is kept, where it is one of OpenAI's."""
    if job.body is None:
        return None
    try:
        fields = msgspec.json.decode(job.body, type=dict[str, msgspec.Raw])
    except msgspec.MsgspecError:  # half a surrogate pair, which msgspec cannot read
        return None
    return msgspec.Raw(job.body.encode()) if _FIELDS[Endpoint(job.endpoint)] in fields else None


def _embedded(job: _Job) -> dict[str, Any] | None:
    """Say Gemini's vector as OpenAI would."""
    if job.body is None or job.endpoint != Endpoint.EMBEDDINGS:
        return None
    vectors = embeddings_in(job.body)
    tokens = job.input_tokens or 0
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": number, "embedding": vector}
            for number, vector in enumerate(vectors)
        ],
        "model": job.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _completion(job: _Job) -> dict[str, Any]:
    created = datetime.fromisoformat(job.finished_at).timestamp() if job.finished_at else 0
    message: dict[str, Any] = {"role": "assistant", "content": job.text, "refusal": None}
    if job.tool_calls is not None:
        message["tool_calls"] = msgspec.Raw(job.tool_calls.encode())
    return {
        "id": job.response_id or f"chatcmpl-{job.job_id}",
        "object": "chat.completion",
        "created": int(created),
        "model": job.response_model or job.model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": _finish_reason(job.finish_reason),
            }
        ],
        "usage": _usage(job),
    }


def _failure(job: _Job, no_answer: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    # What came with a 200 and is no answer must not be taken for one.
    is_refused = job.http_status is not None and job.http_status >= _LEAST_ERROR
    if not is_refused or job.state not in ("failed", "quarantined"):
        code, message = no_answer.get(job.state, _NOT_ENDED)
        if job.state in ("failed", "quarantined"):
            code, message = job.error_code or code, job.error_text or message
        return _line(job, None, {"code": code, "message": message})
    told = {
        "message": job.error_text or "",
        "type": job.error_kind,
        "param": None,
        "code": job.error_code,
    }
    response = {
        "status_code": job.http_status,
        "request_id": job.request_id or "",
        "body": {"error": told},
    }
    return _line(job, response, None)


def _line(job: _Job, response: dict[str, Any] | None, error: object) -> dict[str, Any]:
    return {
        "id": f"batch_req_{job.job_id}",
        "custom_id": job.custom_id,
        "response": response,
        "error": error,
    }


def _finish_reason(said: str | None) -> str:
    word = (said or "stop").lower()
    return _FINISH_REASONS.get(word, word)


def _usage(job: _Job) -> dict[str, Any] | None:
    if job.input_tokens is None or job.output_tokens is None:
        return None
    return {
        "prompt_tokens": job.input_tokens,
        "completion_tokens": job.output_tokens,
        "total_tokens": job.input_tokens + job.output_tokens,
        "prompt_tokens_details": {"cached_tokens": job.cache_read_tokens or 0},
        "completion_tokens_details": {"reasoning_tokens": job.reasoning_tokens or 0},
    }
