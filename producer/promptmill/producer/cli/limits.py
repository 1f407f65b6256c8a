"""`promptmill limits`: how all limits stand, and changes to them while work goes on."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Annotated, Any

import typer
from typer import Argument, Option
from typer.core import TyperGroup

from promptmill.producer.cli.limits_table import print_standings
from promptmill.producer.cli.limits_text import amount
from promptmill.producer.cli.limits_values import as_object
from promptmill.producer.cli.output import note, print_json
from promptmill.producer.embedded.valkey import find_redis
from promptmill.producer.limit_orders import (
    Change,
    Target,
    check_dimension,
    own_ceilings,
    parse_ceilings,
    parse_target,
    set_limits,
    unset_limits,
)
from promptmill.producer.limit_reading import LimitMemory, LimitReader
from promptmill.producer.limit_standing import Known, ScopeStanding, read_known, stand
from promptmill.producer.opening import exists, opened
from promptmill.schema.database import Database
from promptmill.schema.errors import ServiceError
from promptmill.schema.live_limits import EVERY_MODEL, live_ceilings, read_limits
from promptmill.schema.settings import Settings, load_settings

_SHOW = "show"
_NOT_RUNNING = "no Redis runs for this folder, so no worker is at work here"


class _ShowsByDefault(TyperGroup):
    """`limits openai` is `limits show openai`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the word in where another one is."""
        if not args or args[0] not in {*self.commands, *ctx.help_option_names}:
            args = [_SHOW, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ShowsByDefault,
    add_completion=False,
    subcommand_metavar="[PROVIDER[/MODEL]] | COMMAND …",
    context_settings={"help_option_names": ["-h", "--help"]},
)
Limited = Annotated[
    str,
    Argument(
        metavar="PROVIDER[/MODEL]",
        help="A provider, or a model of it; a family by its pattern, quoted: 'openai/gpt-4o*'.",
    ),
]
OfAccount = Annotated[bool, Option("--account", help="Over all models of a key together.")]
Json = Annotated[bool, Option("--json", help="One JSON object.")]


@app.callback()
def limits() -> None:
    """Show rate limits, or change them live.

    Without a command: show. `promptmill limits openai/gpt-4o` shows one model.
    """


@app.command(_SHOW)
def show(
    of: Annotated[
        str | None,
        Argument(metavar="[PROVIDER[/MODEL]]", help="Only this provider, or this model of it."),
    ] = None,
    as_json: Annotated[bool, Option("--json", help="One JSON object a scope.")] = False,
) -> None:
    """Show what is configured, what holds now, what is held back by it, and why."""
    settings = load_settings()
    memory = _read_memory(settings)
    standings = _standings(settings, memory, of)
    if as_json:
        for standing in standings:
            print_json(as_object(standing, redis=memory is not None))
    elif standings:
        print_standings(standings)
    else:
        note(
            "no limit is set, and none was used yet: `promptmill limits set openai rpm=500` sets"
            " one, and so does promptmill.toml (docs/rate-limits.md)"
        )


@app.command("set")
def set_(
    target: Limited,
    ceilings: Annotated[
        list[str], Argument(metavar="LIMIT=AMOUNT…", help="Such as: rpm=500 tpm=200k")
    ],
    account: OfAccount = False,
    as_json: Json = False,
) -> None:
    """Set limits for all workers at once, in place of those of the settings.

    rpm, tpm, itpm, otpm (a minute), rpd, tpd (a day), and concurrency of the whole provider.
    """
    settings = load_settings()
    whose = parse_target(settings, target, account=account)
    wanted = parse_ceilings(ceilings)
    with opened(settings, create=True) as database:
        changes = set_limits(database, settings, whose, wanted)
        own = _own(database, settings, whose, changes)
    _tell(settings, whose, changes, own, as_json=as_json)


@app.command()
def unset(
    target: Limited,
    dimensions: Annotated[
        list[str] | None, Argument(metavar="[LIMIT…]", help="Such as rpm; all if left out.")
    ] = None,
    account: OfAccount = False,
    as_json: Json = False,
) -> None:
    """Take back what was set live: the settings hold again."""
    settings = load_settings()
    whose = parse_target(settings, target, account=account)
    for dimension in dimensions or ():
        check_dimension(dimension)
    with opened(settings) as database:
        changes = unset_limits(database, settings, whose, dimensions or ())
    if changes or as_json:
        _tell(settings, whose, changes, (), as_json=as_json)
    elif dimensions:
        note(f"{whose}: {' and '.join(dimensions)} was not set live")
    else:
        note(f"{whose}: nothing was set live")


def _read_memory(settings: Settings) -> LimitMemory | None:
    """Read Redis, or say why not."""
    try:
        url = find_redis(settings)
        if url is None:
            raise ServiceError(_NOT_RUNNING)
        reader = LimitReader(url, prefix=settings.key_prefix)
        try:
            return reader.read()
        finally:
            reader.close()
    except ServiceError as error:
        note(f"{error}; the rest is from the settings and SQL")
        return None


def _standings(
    settings: Settings, memory: LimitMemory | None, of: str | None
) -> Sequence[ScopeStanding]:
    # Without a database nothing was submitted or set live yet, and that is no error here.
    with opened(settings) if exists(settings) else nullcontext() as database:
        known = read_known(database) if database is not None else Known()
    if of is None:
        return stand(settings, known, memory)
    provider, _, model = of.partition("/")
    seen = {account.provider for account in memory.accounts} if memory is not None else set()
    if provider not in seen:
        target = parse_target(settings, of)
        provider, model = target.provider, target.model
    return stand(settings, known, memory, provider=provider, model=model)


def _own(
    database: Database, settings: Settings, whose: Target, changes: Sequence[Change]
) -> list[str]:
    """Name the models that keep a limit of their own when the provider's is changed."""
    if whose.model != EVERY_MODEL:
        return []
    with database.read() as connection:
        live = live_ceilings(read_limits(connection), whose.provider)
    provider = settings.providers[whose.provider]
    found = {each.dimension: own_ceilings(provider, live, each.dimension) for each in changes}
    return [
        f"  not for {whose.provider}/{model}, which has its own {dimension} of {amount(ceiling)}"
        for dimension, kept in found.items()
        for model, ceiling in sorted(kept.items())
    ]


def _tell(
    settings: Settings,
    whose: Target,
    changes: Sequence[Change],
    besides: Sequence[str],
    *,
    as_json: bool,
) -> None:
    if as_json:
        told = [{"dimension": each.dimension, "old": each.old, "new": each.new} for each in changes]
        print_json({"provider": whose.provider, "model": whose.model, "changes": told})
        return
    for each in changes:
        old, new = (
            amount(value) if value is not None else "no limit" for value in (each.old, each.new)
        )
        note(f"{whose}: {each.dimension} {old} -> {new}")
    for line in besides:
        note(line)
    note(f"workers take it within their next beat, {settings.worker.beat_s:g} s")
