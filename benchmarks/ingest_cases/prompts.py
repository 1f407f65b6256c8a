"""A file of prompts, and the rows that a submit makes of them."""

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path

MODEL = "gpt-4o-mini"
_WORDS = ("rate", "limits", "of", "small", "towns", "near", "the", "water", "and", "people")
_PROMPT_BYTES = 500
_TEXTS = 1000
"""different ones; what follows is the number of the line"""

JobRow = tuple[int, int, int, str, str, str]
PayloadRow = tuple[int, str, str]


def write_prompts(path: Path, count: int) -> None:
    """Write OpenAI Batch lines with prompts of 500 bytes, the same each time."""
    with path.open("w", encoding="utf-8") as file:
        for number, body in _bodies(count):
            line = {
                "custom_id": f"row-{number}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {"model": MODEL, **body},
            }
            file.write(json.dumps(line) + "\n")


def rows(count: int, *, each: int) -> Iterator[tuple[list[JobRow], list[PayloadRow]]]:
    """Make the rows of `jobs` and `job_payloads`, in chunks."""
    jobs: list[JobRow] = []
    payloads: list[PayloadRow] = []
    for number, body in _bodies(count):
        text = json.dumps(body, separators=(",", ":"))
        jobs.append((number, 1, number, f"row-{number}", "openai", MODEL))
        payloads.append((number, text, hashlib.sha256(text.encode()).hexdigest()))
        if number % each == 0 or number == count:
            yield jobs, payloads
            jobs, payloads = [], []


def _bodies(count: int) -> Iterator[tuple[int, dict[str, object]]]:
    draw = random.Random(1)
    texts = [" ".join(draw.choices(_WORDS, k=120))[: _PROMPT_BYTES - 9] for _ in range(_TEXTS)]
    for number in range(1, count + 1):
        content = f"{number:08d} {texts[number % _TEXTS]}"
        yield number, {"max_tokens": 200, "messages": [{"content": content, "role": "user"}]}
