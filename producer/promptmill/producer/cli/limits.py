"""`promptmill limits`: how all limits stand, and changes to them while work goes on."""

from collections.abc import Sequence
from contextlib import nullcontext

from promptmill.producer.cli.limits_table import print_standings
from promptmill.producer.cli.limits_text import amount
from promptmill.producer.cli.limits_values import as_object
from promptmill.producer.cli.output import note, print_json
from promptmill.producer.embedded.valkey import find_redis
from promptmill.producer.limits.memory import LimitMemory
from promptmill.producer.limits.orders import (
    Change,
    Target,
    check_dimension,
    own_ceilings,
    parse_ceilings,
    parse_target,
    set_limits,
    unset_limits,
)
from promptmill.producer.limits.reading import LimitReader
from promptmill.producer.limits.standing import Known, ScopeStanding, read_known, stand
from promptmill.producer.opening import exists, opened
from promptmill.schema.database import Database
from promptmill.schema.errors import ServiceError
from promptmill.schema.live_limits import EVERY_MODEL, live_ceilings, read_limits
from promptmill.schema.settings import Settings, load_settings

_NOT_RUNNING = "no Redis runs for this folder, so no worker is at work here"


def show_limits(of: str | None, *, as_json: bool) -> None:
    """Print how the limits stand, all or those of one provider or model."""
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


def order_limits(target: str, ceilings: Sequence[str], *, account: bool, as_json: bool) -> None:
    """Set limits such as `rpm=500` for all workers at once."""
    settings = load_settings()
    whose = parse_target(settings, target, account=account)
    wanted = parse_ceilings(ceilings)
    with opened(settings, create=True) as database:
        changes = set_limits(database, settings, whose, wanted)
        own = _own(database, settings, whose, changes)
    _tell(settings, whose, changes, own, as_json=as_json)


def take_back_limits(
    target: str, dimensions: Sequence[str], *, account: bool, as_json: bool
) -> None:
    """Unset *dimensions* that were set live; all of them where none is named."""
    settings = load_settings()
    whose = parse_target(settings, target, account=account)
    for dimension in dimensions:
        check_dimension(dimension)
    with opened(settings) as database:
        changes = unset_limits(database, settings, whose, dimensions)
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
        reader = LimitReader(url, prefix=settings.key_prefix, for_a_glance=True)
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
