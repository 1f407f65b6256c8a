"""What the tests of reading share: an input made of bytes, and lines to put into it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from promptmill.producer.reading import Input, Prompt, ReadOptions, open_input, read_prompts
from promptmill.schema.errors import InputError


@pytest.fixture
def make_input(tmp_path: Path) -> Callable[..., Input]:
    """Write bytes to a file and open it."""

    def make(data: bytes, name: str = "in.jsonl") -> Input:
        path = tmp_path / name
        path.write_bytes(data)
        return open_input(path, tmp_path / "spool")

    return make


@pytest.fixture
def read(make_input: Callable[..., Input]) -> Callable[..., list[Prompt]]:
    """Read bytes with the options given by name."""

    def read_all(data: bytes, name: str = "in.jsonl", **options: Any) -> list[Prompt]:
        return list(read_prompts(make_input(data, name), ReadOptions(**options)))

    return read_all


@pytest.fixture
def refused(read: Callable[..., list[Prompt]]) -> Callable[..., InputError]:
    """Read bytes that must be refused."""

    def refuse(data: bytes, name: str = "in.jsonl", **options: Any) -> InputError:
        with pytest.raises(InputError) as caught:
            read(data, name, **options)
        return caught.value

    return refuse


@pytest.fixture
def batch_line() -> Callable[..., bytes]:
    """Write an OpenAI Batch line; fields of the body are given by name, others in *outer*."""

    def write(custom_id: str = "a", outer: dict[str, Any] | None = None, **body: Any) -> bytes:
        body = {"messages": [{"role": "user", "content": "hi"}], **body}
        whole = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions"}
        return json.dumps({**whole, "body": body, **(outer or {})}).encode()

    return write
