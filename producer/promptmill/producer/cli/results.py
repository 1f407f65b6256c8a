"""`promptmill results`: answers, or failures."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from typing import Annotated, Any

from typer import Argument, Option

from promptmill.producer.cli.output import note, print_json, print_table
from promptmill.producer.opening import batch_or_latest, opened
from promptmill.producer.progress import read_progress
from promptmill.producer.results import results_in_order
from promptmill.schema.answers import Result
from promptmill.schema.settings import load_settings
from promptmill.schema.states import JobState

_ANSWERED = (JobState.SUCCEEDED,)
_FAILED = (JobState.FAILED, JobState.QUARANTINED)
_SHOWN = 20
"""of a table, where -n does not say"""


def results(
    batch: Annotated[
        int | None, Argument(metavar="BATCH", help="Batch id; the latest if left out.")
    ] = None,
    number: Annotated[int | None, Option("-n", min=1, help="Only the first so many.")] = None,
    failed: Annotated[bool, Option("--failed", help="What failed, in place of answers.")] = False,
    as_json: Annotated[
        bool, Option("--json", help="One JSON object a line; what a pipe gets in any case.")
    ] = False,
) -> None:
    """Show the answers of a batch in the order of its input."""
    with opened(load_settings()) as database:
        batch_id = batch_or_latest(database, batch)
        read_progress(database, batch_id)
        found = results_in_order(database, batch_id, states=_FAILED if failed else _ANSWERED)
        if as_json or not sys.stdout.isatty():
            for result in islice(found, number):
                print_json(_as_object(result))
        else:
            _print(found, number or _SHOWN, batch_id, failed=failed)


def _print(found: Iterator[Result], number: int, batch_id: int, *, failed: bool) -> None:
    shown = list(islice(found, number))
    if not shown:
        what = "has failed" if failed else "is answered"
        note(f"nothing of batch {batch_id} {what}: `promptmill status {batch_id}` tells more")
    elif failed:
        rows = [(one.custom_id, one.state, one.error_kind, one.error_text) for one in shown]
        print_table(["custom_id", "state", "error", "message"], rows)
    elif len({one.model for one in shown}) > 1:
        answers = [(one.custom_id, one.model, _text(one)) for one in shown]
        print_table(["custom_id", "model", "text"], answers)
    else:
        print_table(["custom_id", "text"], [(one.custom_id, _text(one)) for one in shown])
    if next(found, None) is not None:
        note(f"the first {number}; -n shows more, --json all of them")


def _text(result: Result) -> str:
    if result.text or not result.tool_calls:
        return result.text or ""
    names = ", ".join(str(call.get("function", {}).get("name")) for call in result.tool_calls)
    return f"[calls {names}]"


def _as_object(result: Result) -> dict[str, Any]:
    micros = result.cost_micros
    written = asdict(result) | {"cost_usd": None if micros is None else micros / 1e6}
    del written["cost_micros"]
    return written
