"""Files for batches, and what becomes of them."""

import io
import json
from typing import Any, Final

from openai import OpenAI
from openai.types import Batch

from tests.services.published import hold_body
from tests.services.waiting import wait_until

CHAT: Final = "/v1/chat/completions"
ENDED = {"completed", "failed", "expired", "cancelled"}


def line(custom_id: str, model: str, text: str = "Hello", url: str = CHAT, **body: Any) -> str:
    """Write one line of a batch's input."""
    if not body:
        body = {"messages": [{"role": "user", "content": text}], "max_tokens": 50}
    asked = {"custom_id": custom_id, "method": "POST", "url": url, "body": {"model": model, **body}}
    return json.dumps(asked)


def upload(client: OpenAI, *lines: str, name: str = "prompts.jsonl") -> str:
    """Put a file in; return its id."""
    data = io.BytesIO(("\n".join(lines) + "\n").encode())
    return client.files.create(file=(name, data), purpose="batch").id


def order(client: OpenAI, *lines: str, endpoint: Any = CHAT, **more: Any) -> Batch:
    """Put a file in, and make a batch of it."""
    file_id = upload(client, *lines)
    return client.batches.create(
        input_file_id=file_id, endpoint=endpoint, completion_window="24h", **more
    )


def ended(client: OpenAI, batch: Batch) -> Batch:
    """Wait for the end of a batch."""

    def look() -> Batch | None:
        now = client.batches.retrieve(batch.id)
        return now if now.status in ENDED else None

    found = wait_until(look, f"{batch.id} to end")
    assert found is not None
    return found


def lines_of(client: OpenAI, file_id: str | None) -> dict[str, Any]:
    """Read a file of answers or errors: its lines by custom_id, each there once."""
    assert file_id
    rows = [json.loads(one) for one in client.files.content(file_id).text.splitlines()]
    by_id = {row["custom_id"]: row for row in rows}
    for row in rows:
        if row["response"] and row["response"]["status_code"] == 200:
            hold_body(row["response"]["body"])
    assert len(by_id) == len(rows)
    return by_id
