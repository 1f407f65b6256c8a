"""Inputs for submit, and a stand-in for the workers: it answers as it is told, in SQL only."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from promptmill.producer.reading import ReadOptions
from promptmill.producer.submitting.request import SubmitRequest
from promptmill.schema.moves.endings import StoredResult, fail, finish, hold
from tests.schema.scene import ANSWERED, CUT, REFUSED, Scene

MODEL = "gpt-4o-mini"


def batch_line(custom_id: str, *, model: str | None = MODEL, **body: Any) -> dict[str, Any]:
    """Make an OpenAI Batch line."""
    body = {"messages": [{"role": "user", "content": f"about {custom_id}"}], **body}
    return {"custom_id": custom_id, "body": body | ({"model": model} if model else {})}


def write_lines(path: Path, *rows: dict[str, Any] | str) -> Path:
    """Write JSONL; a row that is text is written as it is."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def write_batch(path: Path, count: int) -> Path:
    """Write *count* lines, named a1, a2, …"""
    return write_lines(path, *(batch_line(f"a{n}") for n in range(1, count + 1)))


def asking(source: Path, *, new: bool = False, **reading: Any) -> SubmitRequest:
    """Ask to submit *source*, with the options of reading by name."""
    return SubmitRequest(source=source, reading=ReadOptions(**reading), new=new)


def claim_all(scene: Scene, batch_id: int, *, most: int = 100) -> dict[int, int]:
    """Claim what is pending of a batch; return fences by job id, in the order of the input."""
    return dict(sorted(scene.claim(*scene.queue(batch_id, model=MODEL, most=most)).items()))


def answer(
    scene: Scene, job_id: int, fence: int, text: str = "four", *, first_token_ms: int | None = None
) -> None:
    """Store an answer, streamed where it has a first token."""
    answered = replace(ANSWERED, first_token_ms=first_token_ms)
    scene.close(finish(job_id, fence, answered, StoredResult(text, "stop")))


def refuse(scene: Scene, job_id: int, fence: int) -> None:
    """Fail a job, as a provider that refuses the request does."""
    scene.close(fail(job_id, fence, REFUSED))


def hold_back(scene: Scene, job_id: int, fence: int) -> None:
    """Quarantine a job whose call was cut off."""
    scene.close(hold(job_id, fence, CUT))
