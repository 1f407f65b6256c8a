"""`promptmill schedule`: what is submitted by the clock."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from promptmill.producer.cli.main import VERBS, load_verb
from promptmill.producer.cli.output import moment, note, print_json, print_table
from promptmill.producer.opening import opened
from promptmill.producer.scheduling.arguments import source_of, stored_arguments
from promptmill.producer.scheduling.cron import next_time
from promptmill.producer.scheduling.firing import fire
from promptmill.schema.database import Connection
from promptmill.schema.errors import UsageError
from promptmill.schema.schedules import (
    NewSchedule,
    Outcome,
    Overlap,
    Schedule,
    add_schedule,
    all_schedules,
    note_extra,
    pause_schedule,
    remove_schedule,
    resume_schedule,
    schedule_named,
)
from promptmill.schema.settings import load_settings

_LONGEST = 100
_COLUMNS = ("name", "cron", "zone", "next (UTC)", "last (UTC)", "came to", "batch", "problem")


def add(
    name: str, cron: str, words: Sequence[str], *, timezone: str, overlap: str, as_json: bool
) -> None:
    """Store a schedule. Raises UsageError for what could never be submitted."""
    if not (name.isprintable() and 0 < len(name) <= _LONGEST):
        msg = f"the name is not one of 1 to {_LONGEST} printable characters: {name[:80]!r}"
        raise UsageError(msg)
    next_at = next_time(cron, timezone, after=datetime.now(UTC))
    arguments = stored_arguments(_typed(words), folder=Path.cwd())
    new = NewSchedule(name, cron, timezone, arguments, Overlap(overlap), next_at)
    with opened(load_settings(), create=True) as database, database.write() as connection:
        added = add_schedule(connection, new)
        made = schedule_named(connection, name)
    if not added or made is None:
        msg = f"there is a schedule {name!r}: `promptmill schedule remove` removes it"
        raise UsageError(msg)
    source = source_of(made)
    if as_json:
        print_json(_object(made))
    note(f"{name} submits {source} at {moment(next_at)} UTC, and so on")
    if not Path(source).exists():
        note(f"  {source} is not there now")
    note("  `promptmill dispatch` submits it: the file is read where that runs")


def show_all(*, as_json: bool) -> None:
    """Print all schedules, by name."""
    with opened(load_settings()) as database, database.read() as connection:
        schedules = all_schedules(connection)
    if as_json:
        for one in schedules:
            print_json(_object(one))
    elif schedules:
        print_table(_COLUMNS, [_cells(one) for one in schedules])
    else:
        note("no schedule yet: `promptmill schedule add NAME CRON -- INPUT` makes one")


def remove(name: str) -> None:
    """Submit it no more."""
    with opened(load_settings()) as database, database.write() as connection:
        _known(connection, name)
        remove_schedule(connection, name)
    note(f"{name} is removed; its batches stay")


def pause(name: str) -> None:
    """Submit it no more until told."""
    with opened(load_settings()) as database, database.write() as connection:
        _known(connection, name)
        paused = pause_schedule(connection, name)
    note(f"{name} is paused" if paused else f"{name} was paused already")


def resume(name: str) -> None:
    """Go on from now."""
    with opened(load_settings()) as database, database.write() as connection:
        one = _known(connection, name)
        next_at = next_time(one.cron, one.timezone, after=one.now)
        resumed = resume_schedule(connection, name, next_at)
    when = moment(next_at if resumed else one.next_at)
    note(f"{name} {'goes on' if resumed else 'was not paused'}: next at {when} UTC")


def run_now(name: str, *, as_json: bool) -> None:
    """Submit it once more, and print the id of the batch. Raises UsageError where it cannot be."""
    settings = load_settings()
    with opened(settings) as database:
        with database.read() as connection:
            one = _known(connection, name)
        ended = fire(settings, database, one, one.now)
        with database.write() as connection:
            note_extra(connection, one.id, one.now, ended)
    if ended.outcome is not Outcome.SUBMITTED:
        msg = f"{name} was {ended.outcome}: {ended.problem}"
        raise UsageError(msg)
    if as_json:
        print_json({"schedule": name, "batch_id": ended.batch_id})
    else:
        note(f"{name} is submitted as batch {ended.batch_id}")
        print(ended.batch_id)


def _typed(words: Sequence[str]) -> dict[str, Any]:
    """Read words as `promptmill submit` does."""
    submit = load_verb(next(verb for verb in VERBS if verb.name == "submit"))
    context = submit.make_context("promptmill schedule add … --", list(words))
    params: dict[str, Any] = context.params
    return params


def _known(connection: Connection, name: str) -> Schedule:
    found = schedule_named(connection, name)
    if found is None:
        msg = f"there is no schedule {name!r}: `promptmill schedule list` lists them"
        raise UsageError(msg)
    return found


def _cells(one: Schedule) -> tuple[object, ...]:
    return (
        one.name,
        one.cron,
        one.timezone,
        "paused" if one.paused_at else moment(one.next_at),
        moment(one.last_at) if one.last_at else "-",
        one.outcome or "-",
        one.batch_id or "-",
        one.problem or "-",
    )


def _object(one: Schedule) -> dict[str, object]:
    return {
        "name": one.name,
        "cron": one.cron,
        "timezone": one.timezone,
        "overlap": one.overlap,
        "source": source_of(one),
        "next": None if one.paused_at else moment(one.next_at),
        "last": moment(one.last_at) if one.last_at else None,
        "outcome": one.outcome,
        "problem": one.problem,
        "batch": one.batch_id,
    }
