"""`promptmill results`: answers, or failures."""

import sys
from collections.abc import Collection, Iterator
from dataclasses import asdict
from itertools import islice
from threading import Event
from typing import Any

from promptmill.producer.cli.output import note, print_json, print_line, print_table
from promptmill.producer.opening import batch_or_latest, glanced, opened
from promptmill.producer.results import results_in_order
from promptmill.producer.unmasking import put_back, put_back_by_pages
from promptmill.producer.watching.progress import read_progress
from promptmill.schema.answers import Result
from promptmill.schema.settings import load_settings
from promptmill.schema.states import JobState

_ANSWERED = (JobState.SUCCEEDED,)
_FAILED = (JobState.FAILED, JobState.QUARANTINED)
_SHOWN = 20
"""of a table, where -n does not say"""
_POLL_S = 0.5


def show_results(
    batch: int | None,
    number: int | None,
    *,
    failed: bool,
    follow: bool,
    as_json: bool,
    unmask: bool = False,
) -> None:
    """Print the first *number* answers, or all, or what has failed."""
    states = _FAILED if failed else _ANSWERED
    if follow:
        come = _as_they_come(batch, states, unmask=unmask)
        _follow(islice(come, number), as_json=as_json)
        return
    with glanced(load_settings()) as database:
        batch_id = batch_or_latest(database, batch)
        read_progress(database, batch_id)
        found = results_in_order(database, batch_id, states=states)
        if unmask:
            found = put_back_by_pages(database, found)
        if as_json or not sys.stdout.isatty():
            is_empty = True
            for result in islice(found, number):
                print_json(_as_object(result))
                is_empty = False
            if is_empty:
                _tell_of_none(batch_id, failed=failed)
        else:
            _print(found, number or _SHOWN, batch_id, failed=failed)


def _as_they_come(
    batch: int | None, states: Collection[JobState], *, unmask: bool
) -> Iterator[Result]:
    from promptmill.producer.watching.following import pages_as_they_come

    words = {state.word for state in states}
    with opened(load_settings()) as database:
        for page in pages_as_they_come(database, batch_or_latest(database, batch)):
            wanted = [result for result in page if result.state in words]
            yield from put_back(database, wanted) if unmask else wanted
            if not page:
                Event().wait(_POLL_S)


def _follow(found: Iterator[Result], *, as_json: bool) -> None:
    """Print a line for each, at once."""
    in_words = sys.stdout.isatty() and not as_json
    for result in found:
        if in_words:
            print_line(result.custom_id, _text(result) or result.error_text or "")
        else:
            print_json(_as_object(result))
        sys.stdout.flush()


def _print(found: Iterator[Result], number: int, batch_id: int, *, failed: bool) -> None:
    shown = list(islice(found, number))
    if not shown:
        _tell_of_none(batch_id, failed=failed)
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


def _tell_of_none(batch_id: int, *, failed: bool) -> None:
    what = "has failed" if failed else "is answered"
    note(f"nothing of batch {batch_id} {what}: `promptmill status {batch_id}` tells more")


def _text(result: Result) -> str:
    if result.text or not result.tool_calls:
        return result.text or ""
    names = ", ".join(str(call.get("function", {}).get("name")) for call in result.tool_calls)
    return f"[calls {names}]"


def _as_object(result: Result) -> dict[str, Any]:
    micros = result.cost_micros
    written = asdict(result) | {"cost_usd": None if micros is None else micros / 1e6}
    written["body"] = result.body
    written["files"] = [file._asdict() for file in result.files]
    del written["cost_micros"], written["body_json"]
    return written
