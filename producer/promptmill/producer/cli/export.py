"""`promptmill export`: a batch as a file."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from promptmill.producer.cli.output import Counter, note, print_json
from promptmill.producer.cli.terminal import Terminal
from promptmill.producer.export import (
    USUAL_COLUMNS,
    Exported,
    ExportRequest,
    Format,
    What,
    export,
    format_of,
)
from promptmill.producer.figures import plural
from promptmill.producer.opening import batch_or_latest, opened
from promptmill.schema.errors import UsageError
from promptmill.schema.settings import load_settings

_LINES = (Format.JSONL, Format.CSV)
"""what can be read on a terminal"""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was typed: where to, and what of the batch."""

    output: str
    format: str | None = None
    failed: bool = False
    all_: bool = False
    columns: str | None = None
    formulas: bool = False
    unmask: bool = False


def export_batch(batch: int | None, chosen: Chosen, *, as_json: bool) -> None:
    """Write the file, and tell what is in it."""
    format_ = _format(chosen)
    _check_options(chosen, format_)
    with opened(load_settings()) as database:
        request = ExportRequest(
            batch_id=batch_or_latest(database, batch),
            target=_stdout(format_) if chosen.output == "-" else Path(chosen.output),
            format=format_,
            what=What.FAILED if chosen.failed else What.ALL if chosen.all_ else What.ANSWERED,
            columns=USUAL_COLUMNS if chosen.columns is None else _names(chosen.columns),
            formulas=chosen.formulas,
            unmask=chosen.unmask,
        )
        with Counter("writing") as counter:
            done = export(database, request, tell=counter.show)
    paths = [str(path) for path in request.targets if isinstance(path, Path)]
    if as_json and paths:
        told = {"batch": request.batch_id, "rows": done.rows, "errors": done.errors}
        print_json(told | {"left_out": done.left_out, "files": paths})
    else:
        note(_told(request, done, paths))


def _format(chosen: Chosen) -> Format:
    if not chosen.output:
        msg = "where to? -o out.jsonl, out.csv or out.parquet; - is standard output"
        raise UsageError(msg)
    if chosen.format is not None:
        return Format(chosen.format)
    return Format.JSONL if chosen.output == "-" else format_of(chosen.output)


def _check_options(chosen: Chosen, format_: Format) -> None:
    problem = None
    if chosen.failed and chosen.all_:
        problem = "--failed and --all: leave one out"
    elif format_ is Format.OPENAI_BATCH and (chosen.failed or chosen.all_ or chosen.columns):
        problem = "openai-batch has every prompt, in fields of its own: leave --failed, --all and"
        problem += " --columns out"
    elif chosen.formulas and format_ is not Format.CSV:
        problem = "--formulas is for CSV: in other formats nothing is a formula"
    if problem:
        raise UsageError(problem)


def _stdout(format_: Format) -> IO[bytes]:
    if not sys.stdout.isatty():
        return sys.stdout.buffer
    if format_ not in _LINES:
        msg = f"{format_} is not for a terminal: name a file with -o FILE"
        raise UsageError(msg)
    return cast("IO[bytes]", Terminal(sys.stdout))


def _names(columns: str) -> tuple[str, ...]:
    return tuple(name for one in columns.split(",") if (name := one.strip()))


def _told(request: ExportRequest, done: Exported, paths: list[str]) -> str:
    what = {What.ANSWERED: "answer", What.FAILED: "failure", What.ALL: "prompt"}[request.what]
    if request.format is Format.OPENAI_BATCH:
        answers, errors = plural(done.rows - done.errors, "answer"), plural(done.errors, "error")
        return f"{answers} of batch {request.batch_id} to {paths[0]}, {errors} to {paths[1]}"
    where = f" to {paths[0]}" if paths else ""
    told = f"{plural(done.rows, what)} of batch {request.batch_id}{where}"
    if done.left_out and request.what is What.ANSWERED:
        have = "has" if done.left_out == 1 else "have"
        told += f"; {plural(done.left_out, 'prompt')} {have} none: --failed, --all"
    return told
