"""`promptmill export`: a batch as a file."""

import sys
from pathlib import Path
from typing import IO, Annotated, cast

from typer import Argument, Option

from promptmill.producer.cli.output import Counter, note, print_json
from promptmill.producer.cli.terminal import Terminal
from promptmill.producer.export import (
    USUAL_COLUMNS,
    Exported,
    ExportRequest,
    Format,
    What,
    format_of,
)
from promptmill.producer.export import export as write_export
from promptmill.producer.opening import batch_or_latest, opened
from promptmill.schema.errors import UsageError
from promptmill.schema.settings import load_settings

_LINES = (Format.JSONL, Format.CSV)
"""what can be read on a terminal"""


def export(
    batch: Annotated[
        int | None, Argument(metavar="BATCH", help="Batch id; the latest if left out.")
    ] = None,
    *,
    output: Annotated[
        str,
        Option("-o", "--output", metavar="FILE", help="out.jsonl, .csv or .parquet; - is stdout."),
    ] = "",
    format: Annotated[  # noqa: A002  typer takes the option's name from it
        Format | None, Option("--format", help="Where the name of the file does not tell.")
    ] = None,
    failed: Annotated[bool, Option("--failed", help="What failed, in place of answers.")] = False,
    all_: Annotated[bool, Option("--all", help="Every prompt, whatever its state.")] = False,
    columns: Annotated[
        str | None, Option("--columns", metavar="A,B", help="Only these, in this order.")
    ] = None,
    formulas: Annotated[
        bool, Option("--formulas", help="CSV: leave a cell that begins as a formula as it is.")
    ] = False,
    as_json: Annotated[bool, Option("--json", help="Tell what was written as JSON.")] = False,
) -> None:
    """Write the answers of a batch to a file, in the order of its input.

    The file is there whole or not at all. It shows one moment, also while workers go on.
    """
    chosen, name = _format(output, format), Path(output)
    _check_options(chosen, failed=failed, all_=all_, columns=columns, formulas=formulas)
    with opened(load_settings()) as database:
        request = ExportRequest(
            batch_id=batch_or_latest(database, batch),
            target=_stdout(chosen) if output == "-" else name,
            format=chosen,
            what=What.FAILED if failed else What.ALL if all_ else What.ANSWERED,
            columns=USUAL_COLUMNS if columns is None else _names(columns),
            formulas=formulas,
        )
        with Counter("writing") as counter:
            done = write_export(database, request, tell=counter.show)
    paths = [str(path) for path in request.targets if isinstance(path, Path)]
    if as_json and paths:
        told = {"batch": request.batch_id, "rows": done.rows, "errors": done.errors}
        print_json(told | {"left_out": done.left_out, "files": paths})
    else:
        note(_told(request, done, paths))


def _format(output: str, asked: Format | None) -> Format:
    if not output:
        msg = "where to? -o out.jsonl, out.csv or out.parquet; - is standard output"
        raise UsageError(msg)
    if asked is not None:
        return asked
    return Format.JSONL if output == "-" else format_of(output)


def _check_options(
    format_: Format, *, failed: bool, all_: bool, columns: str | None, formulas: bool
) -> None:
    problem = None
    if failed and all_:
        problem = "--failed and --all: leave one out"
    elif format_ is Format.OPENAI_BATCH and (failed or all_ or columns):
        problem = "openai-batch has every prompt, in fields of its own: leave --failed, --all and"
        problem += " --columns out"
    elif formulas and format_ is not Format.CSV:
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
    what = {What.ANSWERED: "answers", What.FAILED: "failures", What.ALL: "prompts"}[request.what]
    if request.format is Format.OPENAI_BATCH:
        return (
            f"{done.rows - done.errors:,} answers of batch {request.batch_id} to {paths[0]},"
            f" {done.errors:,} errors to {paths[1]}"
        )
    where = f" to {paths[0]}" if paths else ""
    told = f"{done.rows:,} {what} of batch {request.batch_id}{where}"
    if done.left_out and request.what is What.ANSWERED:
        told += f"; {done.left_out:,} prompts have none: --failed, --all"
    return told
