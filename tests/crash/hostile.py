"""Messages that nobody of us wrote, as they may lie in a queue."""

import base64
import json
from collections.abc import Mapping
from types import MappingProxyType

from promptmill.schema.broker import BULK_STEP, list_keys
from promptmill.schema.hint import queue_name, task_name
from tests.services.running_mill import OPENAI, RunningMill


def hostile_messages(canary_file: str) -> dict[str, bytes]:
    """Make one message of each shape; what a pickle would do is touch *canary_file*."""
    command = f"cos\nsystem\n(S'touch {canary_file}'\ntR.".encode()
    return {
        "not JSON": b"\xff\xfe{not json",
        "a JSON number": b"7",
        "an empty list entry": b"",
        "a body that is not base64": _message(body="%%% not base64 %%%"),
        "a body that is not JSON": _message(body=_coded(b"\xff not json")),
        "no properties": json.dumps({"body": _coded(b"[[1,1],{},{}]"), "headers": {}}).encode(),
        "no headers": _message(headers=None),
        "no delivery tag": _message(properties={"delivery_tag": None}),
        "a delivery tag that is a list": _message(properties={"delivery_tag": []}),
        "no way back": _message(properties={"delivery_info": 7}),
        "headers that are a list": _message(headers=[1]),
        "a date that is none": b'{"__type__": "datetime", "__value__": 7}',
        "wrong arguments": _message(args=[["x", {"y": []}], {"z": 1}, {}]),
        "too few arguments": _message(args=[[], {}, {}]),
        "an unknown task": _message(task="os.system"),
        "nested 5,000 deep": _message(body=_coded(b"[" * 5000 + b"]" * 5000)),
        "an ETA that is no time": _message(headers={"eta": "soon"}),
        "an ETA of the year 9999": _message(headers={"eta": "9999-12-31T23:59:59+00:00"}),
        "a pickle": _message(body=_coded(command), content_type="application/x-python-serialize"),
    }


def push(mill: RunningMill, *messages: bytes) -> None:
    """Put *messages* where the next worker takes them first."""
    key = list_keys(mill.settings, queue_name(OPENAI))[-1]
    for message in messages:
        mill.valkey.client.rpush(key, message)


def _coded(body: bytes) -> str:
    return base64.b64encode(body).decode()


def _message(
    *,
    args: object = ((10**9, 1), {}, {}),
    body: str | None = None,
    headers: object = MappingProxyType({}),
    properties: Mapping[str, object] = MappingProxyType({}),
    task: str = task_name(OPENAI),
    content_type: str = "application/json",
) -> bytes:
    number = "job-1000000000"
    usual = {"lang": "py", "task": task, "id": number, "root_id": number, "retries": 0}
    return json.dumps(
        {
            "body": _coded(json.dumps(args).encode()) if body is None else body,
            "content-encoding": "utf-8",
            "content-type": content_type,
            "headers": {**usual, **headers} if isinstance(headers, Mapping) else headers,
            "properties": {
                "correlation_id": number,
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue_name(OPENAI)},
                "priority": BULK_STEP,
                "body_encoding": "base64",
                "delivery_tag": "hostile",
                **properties,
            },
        }
    ).encode()
