"""Store an input as a batch: all of it or nothing, and the same input only once.

The first pass checks every line, so nothing is stored of an input with a bad one. The second pass
stores chunks; a submit that was killed in between is resumed by the same command. Redis is not
needed.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from promptmill.producer.answer_cache import AnswerCache, change_cache
from promptmill.producer.control import MOST_PRIORITY
from promptmill.producer.estimate.budgets import Budget, Routes, change_budget, require_keepable
from promptmill.producer.failure_limit import FailureLimit, limit_failures, parse_failure_limit
from promptmill.producer.loader import Loader
from promptmill.producer.reading import (
    Checked,
    Input,
    ReadOptions,
    check_input,
    open_input,
    read_prompts,
)
from promptmill.producer.reading.parameters import check_taken
from promptmill.producer.routing import Route, route
from promptmill.schema.database import Database, DatabaseError, first_line
from promptmill.schema.errors import InputError, ServiceError, UsageError
from promptmill.schema.moves.loading import BatchFound, NewBatch, create_batch, find_batch
from promptmill.schema.settings import Settings
from promptmill.schema.states import BatchState

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """What is to be submitted, as it was typed."""

    source: str | Path
    """a path, or `-` for standard input"""
    reading: ReadOptions = field(default_factory=ReadOptions)
    also: tuple[str, ...] = ()
    """models that are asked the same, besides the one of *reading*"""
    dedupe: bool = False
    """ask equal prompts once"""
    name: str | None = None
    """for people; None: the name of the file"""
    priority: int = 0
    """-100 to 100; above 0 goes before all others"""
    on_unknown: str | None = None
    """`retry` or `hold`; None: as the settings say"""
    max_failures: str | None = None
    """`200` or `5%`: so many failed prompts pause it. `none` allows all; None leaves a batch that
    is there as it is"""
    cache: AnswerCache | None = None
    """which answers of other jobs it takes; None: as before, and a new one none"""
    new: bool = False
    """make another batch where there is one of this input already"""
    budget: Budget | None = None
    """what it may cost; None: as before, and a new one anything"""


class How(StrEnum):
    """How a submit came to its batch."""

    NEW = "new"
    RESUMED = "resumed"
    """an earlier submit had been killed, and this one went on with its batch"""
    REUSED = "reused"
    """it was submitted before"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an input is, before anything of it is stored."""

    name: str
    """of the input"""
    checked: Checked
    routes: Routes
    known: bool = False
    """there is a batch of it already"""

    @property
    def providers(self) -> frozenset[str]:
        """Those that are asked."""
        return frozenset(found.provider for found in chain.from_iterable(self.routes.values()))


@dataclass(frozen=True, slots=True)
class Submitted:
    """The batch that holds the input."""

    batch_id: int
    name: str
    total: int
    how: How
    kind: str
    """what the input was taken for, in words: `CSV`"""
    goes_on: bool = False
    """its budget had paused it, and does no more"""
    twins: int = 0
    """jobs that are not asked, since another asks the same; counted when they are stored"""


def submit(
    database: Database,
    request: SubmitRequest,
    settings: Settings,
    *,
    admit: Callable[[Plan], object] = lambda _plan: None,
    report: Callable[[int, int], object] = lambda _done, _total: None,
) -> Submitted:
    """Store the prompts of *request* as a batch and open it, or find the batch that has them.

    *admit* sees the plan before anything is stored, and may raise a UsageError. *report* is told
    after each chunk how many prompts are stored, of how many.

    Raises UsageError, and InputError for a bad line; then nothing is stored. Raises ServiceError
    where SQL fails; what is stored is kept, and the same call goes on with it.
    """
    _check(request)
    failures = None if request.max_failures is None else parse_failure_limit(request.max_failures)
    asked = _asked(request, settings)
    options = _spelled(request.reading, asked)
    with open_input(request.source, settings.state_dir / "spool") as source:
        checked = check_input(source, options)
        routes = _routes(source, options, checked, settings, asked)
        if checked.only_for is None:
            _check_taken(options, chain.from_iterable(routes.values()), settings)
        batch = _new_batch(
            request,
            options=options,
            source=source,
            checked=checked,
            routes=routes,
            on_unknown=settings.retry.on_unknown,
            failures=failures,
        )
        known = not request.new and _is_known(database, batch.identity)
        admit(Plan(source.name, checked, routes, known))
        if request.budget is not None:
            require_keepable(request.budget, checked, routes, settings.providers)
        try:
            twins, goes_on = 0, False
            found, how = _find_or_create(database, batch, new=request.new)
            if request.budget is not None and how is not How.NEW:
                goes_on = change_budget(database, found.id, request.budget)
            if how is not How.REUSED:
                loader = Loader(
                    database,
                    identity=batch.identity,
                    batch_id=found.id,
                    loaded=found.loaded,
                    routes=routes,
                )
                twins = loader.load(
                    source,
                    options,
                    lambda done: report(done, batch.total),
                    dedupe=request.dedupe,
                )
            if how is not How.NEW and failures is not None:
                limit_failures(database, found.id, failures)
            if how is not How.NEW and request.cache is not None:
                change_cache(database, found.id, request.cache)
        except DatabaseError as error:
            msg = f"the database failed: {first_line(error)}\n  type the same command to go on"
            raise ServiceError(msg) from None
    return Submitted(
        found.id, batch.name, batch.total, how, checked.kind, goes_on=goes_on, twins=twins
    )


def examine(request: SubmitRequest, settings: Settings) -> Plan:
    """Read and check the input of *request*, and say who is asked. Nothing is stored."""
    _check(request)
    asked = _asked(request, settings)
    options = _spelled(request.reading, asked)
    with open_input(request.source, settings.state_dir / "spool") as source:
        checked = check_input(source, options)
        return Plan(source.name, checked, _routes(source, options, checked, settings, asked))


def _spelled(options: ReadOptions, asked: Sequence[Route]) -> ReadOptions:
    """Spell the model in full, so that however it was spelled it is the same request."""
    return replace(options, model=asked[0].full) if asked else options


def _is_known(database: Database, identity: str) -> bool:
    with database.read() as connection:
        return find_batch(connection, identity) is not None


def _check(request: SubmitRequest) -> None:
    if abs(request.priority) > MOST_PRIORITY:
        msg = f"the priority {request.priority} is not from -{MOST_PRIORITY} to {MOST_PRIORITY}"
        raise UsageError(msg)
    name = request.name
    if name is not None and not (name.isprintable() and 0 < len(name) <= _LONGEST_NAME):
        msg = f"the name is not one of 1 to {_LONGEST_NAME} printable characters: {name[:80]!r}"
        raise UsageError(msg)
    if request.on_unknown not in (None, "retry", "hold"):
        msg = f"on_unknown is {request.on_unknown!r}, and must be 'retry' or 'hold'"
        raise UsageError(msg)


def _check_taken(options: ReadOptions, routes: Iterable[Route], settings: Settings) -> None:
    for provider in sorted({found.provider for found in routes}):
        check_taken(options.parameters, settings.providers[provider].kind, provider)


def _asked(request: SubmitRequest, settings: Settings) -> tuple[Route, ...]:
    """Route the models of -m, each once and in the order of their names. Raises UsageError."""
    if request.reading.model is None:
        return ()
    models = (request.reading.model, *request.also)
    found = {route(model, settings.providers, routes=settings.routes) for model in models}
    return tuple(sorted(found, key=lambda one: one.full))


def _routes(
    source: Input,
    options: ReadOptions,
    checked: Checked,
    settings: Settings,
    asked: tuple[Route, ...],
) -> dict[str | None, tuple[Route, ...]]:
    """Say who is asked, by the model of the line: those of -m, else the one that it names.

    Raises InputError at the first line that cannot be routed.
    """
    routes: dict[str | None, tuple[Route, ...]] = {}
    for model, prompts in checked.models.items():
        try:
            if model is None:
                msg = f"{prompts:,} of {checked.rows:,} prompts name no model"
                raise UsageError(msg)
            routes[model] = tuple(
                route(
                    one,
                    settings.providers,
                    routes=settings.routes,
                    only_for=checked.only_for,
                )
                for one in ([found.full for found in asked] or [model])
            )
        except UsageError as error:
            asking = (one.position for one in read_prompts(source, options) if one.model == model)
            raise InputError(
                problem=str(error),
                file=source.name,
                line=0 if asked else next(asking, 0),
                value=model or "",
                fix="give -m MODEL for all lines, or name a model in each that somebody answers",
            ) from None
    return routes


def _new_batch(
    request: SubmitRequest,
    *,
    options: ReadOptions,
    source: Input,
    checked: Checked,
    routes: Mapping[str | None, tuple[Route, ...]],
    on_unknown: str,
    failures: FailureLimit | None,
) -> NewBatch:
    asked = {
        "prompt": options.template,
        "system": options.system,
        "models": [found.full for found in routes[options.model]] if options.model else [],
        "parameters": options.parameters,
        "schema": options.schema,
        "format": options.format,
        "dedupe": request.dedupe,
        "id_column": options.id_column,
        "limit": options.limit,
    }
    total = sum(len(routes[model]) * rows for model, rows in checked.models.items())
    return NewBatch(
        name=request.name or _storable(Path(source.name).name),
        identity=_identity(checked, asked, routes),
        input_name=_storable(source.name),
        options=_json(asked).decode(),
        total=total,
        priority=request.priority,
        on_unknown=request.on_unknown or on_unknown,
        max_failures=None if failures is None else failures.of(total),
        budget_micros=request.budget.micros if request.budget else None,
        cache_s=request.cache.seconds or None if request.cache else None,
    )


def _identity(
    checked: Checked, asked: Mapping[str, Any], routes: Mapping[str | None, tuple[Route, ...]]
) -> str:
    """Hash all that decides which requests there are, and nothing else."""
    asked_whom = sorted(
        (model or "", one.provider, one.model) for model, found in routes.items() for one in found
    )
    return hashlib.sha256(_json([1, checked.sha256.hex(), asked, asked_whom])).hexdigest()


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _storable(name: str) -> str:
    """Make a file's name, which may be any bytes, into text that every database takes."""
    text = name.encode(errors="replace").decode()
    return "".join(char if char.isprintable() else "?" for char in text)


def _find_or_create(database: Database, batch: NewBatch, *, new: bool) -> tuple[BatchFound, How]:
    """Find the batch of this identity, or make one. Two that do so at once get the same one."""
    try:
        with database.write() as connection:
            found = find_batch(connection, batch.identity)
            if found is None or found.is_gone or (new and found.state != BatchState.LOADING):
                number = 0 if found is None else found.identity_no + 1
                batch_id = create_batch(connection, batch, identity_no=number)
                return BatchFound(batch_id, number, BatchState.LOADING, batch.total, 0), How.NEW
    except DatabaseError:
        with database.read() as connection:
            found = find_batch(connection, batch.identity)
        if found is None:
            raise
    if found.state == BatchState.CANCELLED:
        msg = (
            f"this input is batch {found.id}, which was cancelled: `promptmill retry {found.id}`"
            " takes it up again, --new makes another batch"
        )
        raise UsageError(msg)
    return found, How.RESUMED if found.state == BatchState.LOADING else How.REUSED
