"""`promptmill prune`: delete what is old of batches that have ended."""

from collections.abc import Iterable
from dataclasses import replace

import typer

from promptmill.producer.ages import parse_age
from promptmill.producer.cli.output import Counter, moment, note, print_json, print_table
from promptmill.producer.dispatching.pruning import PruneOrder, prune_steps, to_prune
from promptmill.producer.figures import plural
from promptmill.producer.opening import opened
from promptmill.schema.database import Database
from promptmill.schema.errors import UsageError
from promptmill.schema.moves.pruning import OldBatch, Pruned
from promptmill.schema.reading import batch_row
from promptmill.schema.settings import load_settings
from promptmill.schema.space import can_give_back, free_bytes


def make_order(batches: Iterable[int], older_than: str | None, *, keep_answers: bool) -> PruneOrder:
    """Make one value of what was typed. Raises UsageError."""
    chosen = frozenset(batches)
    if not chosen and older_than is None:
        msg = "say what may go: --older-than 30d, or the ids of batches"
        raise UsageError(msg)
    level = Pruned.PROMPTS if keep_answers else Pruned.ALL
    age_s = 0.0 if older_than is None else parse_age(older_than, "--older-than")
    return PruneOrder(level, age_s, chosen)


def prune_batches(order: PruneOrder, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Delete what *order* says, once that was confirmed."""
    settings = load_settings()
    order = replace(order, files_dir=settings.files_folder)
    with opened(settings) as database:
        found = to_prune(database, order)
        _explain_missing(database, order, found)
        if not dry_run and found and not (yes or as_json):
            _tell(found, order.level, as_json=False)
            typer.confirm("Delete it?", abort=True, err=True)
        jobs = 0 if dry_run else _prune(database, order, sum(batch.total for batch in found))
        if as_json or dry_run:
            _tell(found, order.level, as_json=as_json, dry_run=dry_run)
        if not as_json and not dry_run:
            note(f"pruned {plural(len(found), 'batch', 'batches')}: {plural(jobs, 'prompt')}")
            _tell_of_room(database)


def _prune(database: Database, order: PruneOrder, total: int) -> int:
    jobs = 0
    with Counter("prompts pruned") as counter:
        for step in prune_steps(database, order):
            jobs += step.jobs
            counter.show(jobs, total)
    return jobs


def _tell(found: list[OldBatch], level: Pruned, *, as_json: bool, dry_run: bool = False) -> None:
    if as_json:
        batches = [{"batch": one.id, "name": one.name, "prompts": one.total} for one in found]
        print_json({"dry_run": dry_run, "what": level, "batches": batches})
    elif not found:
        note("nothing is that old, or it has open prompts, or it is gone already")
    else:
        print_table(
            ["batch", "name", "submitted (UTC)", "prompts", "calls"],
            [
                (one.id, one.name, moment(one.created_at), f"{one.total:,}", f"{one.calls:,}")
                for one in found
            ],
        )
        kept = "; answers stay" if level is Pruned.PROMPTS else " and answers"
        note(f"of these, prompts{kept} {'would go' if dry_run else 'go'}; their sums stay")


def _explain_missing(database: Database, order: PruneOrder, found: list[OldBatch]) -> None:
    for batch_id in sorted(set(order.batches) - {batch.id for batch in found}):
        with database.read() as connection:
            batch = batch_row(connection, batch_id)
        if batch is None:
            msg = f"there is no batch {batch_id}: `promptmill ls` lists them"
        elif batch.pruned is not None:
            msg = f"batch {batch_id} was pruned before ({batch.pruned})"
        else:
            msg = (
                f"batch {batch_id} has prompts to be answered, or ended too lately:"
                f" `promptmill status {batch_id}` tells, `promptmill cancel {batch_id}` ends it"
            )
        raise UsageError(msg)


def _tell_of_room(database: Database) -> None:
    if database.dialect == "postgresql":
        note("PostgreSQL uses the room again; VACUUM FULL gives it back to the disk")
    elif free := free_bytes(database):
        how = "" if can_give_back(database) else ": `sqlite3 FILE vacuum` gives it back"
        note(f"{free / 1e6:,.0f} MB are free in the file and used again{how}")
