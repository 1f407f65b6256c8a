"""`promptmill run`: submit, bring what is missing, watch to the end."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

import typer

from promptmill.producer.advice import how_to_resume
from promptmill.producer.cli.answering import Interrupted, answer_here
from promptmill.producer.cli.confirmation import confirming
from promptmill.producer.cli.output import note
from promptmill.producer.cli.submit import submit_with_counter
from promptmill.producer.cli.views import choose_view
from promptmill.producer.cli.watch import EXIT_INTERRUPTED, exit_code
from promptmill.producer.cli.webhooks import tell_webhooks
from promptmill.producer.figures import duration, plural
from promptmill.producer.limits.run_limits import keep_limits, typed_limits, with_limits
from promptmill.producer.opening import opened
from promptmill.producer.submitting.request import SubmitRequest
from promptmill.producer.watching.news import pause_reason
from promptmill.producer.watching.progress import Progress, open_besides, read_progress
from promptmill.producer.watching.spent import cost_text
from promptmill.schema.database import Database
from promptmill.schema.environment import key_variable
from promptmill.schema.errors import SettingsError
from promptmill.schema.fallbacks import providers_of, read_rules
from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.pauses import lift_pauses, pauses_now
from promptmill.schema.pools import members_of
from promptmill.schema.settings import PREFIX, Settings, load_settings
from promptmill.schema.states import BatchState

_QUERY = "select text from promptmill_results where batch_id ="
"""short enough that its line fits 100 columns whatever the batch's id"""
_LIFTED = (ErrorKind.KEY, ErrorKind.MONEY)
_TOLD = 3
"""other batches that are named one by one"""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What was typed for this run alone, over the settings."""

    rpm: str | None = None
    tpm: str | None = None
    concurrency: int | None = None
    processes: int = 1


def run_batch(
    request: SubmitRequest, options: RunOptions, *, yes: bool, as_json: bool, quiet: bool
) -> None:
    """Submit, answer here, and exit with the code that tells how it went."""
    began = time.monotonic()
    settings = load_settings()
    given = typed_limits(rpm=options.rpm, tpm=options.tpm)
    with opened(settings, create=True) as database:
        stored = submit_with_counter(
            database,
            request,
            settings,
            require=partial(_require_keys, settings),
            admit=confirming(settings, database, request, yes=yes),
        )
        progress = read_progress(database, stored.batch_id, settings.pools)
        names = [tally.name for tally in progress.providers if tally.ended < tally.total]
        if names:
            others = providers_of(read_rules(progress.batch.fallbacks))
            names = sorted(members_of({*names, *others}, settings.pools))
        if names and progress.batch.state != BatchState.PAUSED:
            _require_keys(settings, names)
            _lift_pauses(database, names)
            _tell_of_others(database, stored.batch_id, names)
            keep_limits(database, stored.batch_id, given)
            progress = _answer(
                with_limits(settings, names, given),
                database,
                stored.batch_id,
                names,
                env=_environment(names, given, options.concurrency),
                processes=options.processes,
                as_json=as_json,
                quiet=quiet,
            )
        _summarise(progress, took_s=time.monotonic() - began)
        tell_webhooks(settings, database, stored.batch_id)
    raise typer.Exit(exit_code(progress))


def _answer(
    settings: Settings,
    database: Database,
    batch_id: int,
    names: list[str],
    *,
    env: dict[str, str],
    processes: int,
    as_json: bool,
    quiet: bool,
) -> Progress:
    try:
        return answer_here(
            settings,
            database,
            batch_id,
            names,
            view=choose_view(as_json=as_json, quiet=quiet),
            env=env,
            processes=processes,
        )
    except Interrupted:
        note(f"stopped; batch {batch_id} is kept. The same command goes on with it.")
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _require_keys(settings: Settings, names: Collection[str]) -> None:
    """Refuse to begin without a key: the workers that need it are started here."""
    for name in sorted(names):
        provider = settings.providers[name]
        if provider.needs_key and not provider.fingerprint:
            variable = key_variable(name)
            msg = (
                f"provider {name!r} has no key: set {variable} (or {variable}_FILE, the path of a"
                " file that holds it) in the environment or in .env; nothing was stored or sent"
            )
            raise SettingsError(msg)


def _lift_pauses(database: Database, names: Collection[str]) -> None:
    """Typing the command again is telling: what was paused for a key or money goes on."""
    with database.write() as connection:
        for pause in pauses_now(connection):
            if pause.provider in names and pause.kind in _LIFTED:
                lift_pauses(connection, provider=pause.provider, fingerprint=pause.fingerprint)


def _tell_of_others(database: Database, batch_id: int, names: Collection[str]) -> None:
    """Say what else will be answered, and paid: workers take whatever is due."""
    others = open_besides(database, batch_id, providers=names)
    for other in others[:_TOLD]:
        note(
            f"batch {other.id} ({other.name}) is open too, and {plural(other.left, 'prompt')} of it"
            f" will be answered as well; `promptmill pause {other.id}` holds it"
        )
    if len(others) > _TOLD:
        more = plural(len(others) - _TOLD, "more batch", "more batches")
        note(f"{more} will be answered as well: `promptmill ls` lists them")


def _environment(
    names: Collection[str], given: Mapping[str, float], concurrency: int | None
) -> dict[str, str]:
    """Tell the workers the same as `with_limits`, over their settings."""
    env = {
        f"{PREFIX}PROVIDERS__{name.upper()}__LIMITS__{dimension.upper()}": str(amount)
        for name in names
        for dimension, amount in given.items()
    }
    if concurrency is not None:
        env[f"{PREFIX}WORKER__CONCURRENCY"] = str(concurrency)
    return env


def _summarise(progress: Progress, *, took_s: float) -> None:
    overall, batch = progress.overall, progress.batch
    note(
        f"batch {batch.id}: {overall.succeeded:,} of {overall.total:,} answered,"
        f" {overall.failed:,} failed, in {duration(took_s)}   {cost_text(overall)}"
    )
    if progress.held:
        _tell_how_to_go_on(progress)
    if overall.succeeded:
        note(f"  answers    promptmill results {batch.id}")
    if overall.failed:
        note(f"  failures   promptmill status {batch.id} says why, and what to do")
    if overall.ended:
        note(f"  report     promptmill report {batch.id}")
    if overall.succeeded:
        note(f"  sql        promptmill sql '{_QUERY} {batch.id} limit 5'")


def _tell_how_to_go_on(progress: Progress) -> None:
    again = "type the same command again"
    batch = progress.batch
    if progress.budget_reached:
        note(f"batch {batch.id} paused: {batch.paused_reason}")
        note("  the same command with a higher --budget goes on with it")
    elif batch.state == BatchState.PAUSED:
        note(f"batch {batch.id} paused: {batch.paused_reason}")
        note(f"  `promptmill resume {batch.id}`, then {again}")
    for pause in progress.stuck:
        by_itself = pause.kind in _LIFTED  # see _lift_pauses
        way = how_to_resume(pause, resume=again if by_itself else None)
        note(f"{pause_reason(pause)}\n  {way if by_itself else f'{way}, then {again}'}")
