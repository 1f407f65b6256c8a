"""Store an input as a batch: all of it or nothing, and the same input only once.

A submit that was killed is gone on with by the same command. Redis is not needed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from promptmill.producer.estimate.budgets import Routes, change_budget, require_keepable
from promptmill.producer.reading import (
    Input,
    ReadOptions,
    check_input,
    open_input,
    refuse_duplicate,
)
from promptmill.producer.reading.parameters import check_taken
from promptmill.producer.routing import Router
from promptmill.producer.submitting.answer_cache import change_cache
from promptmill.producer.submitting.asked import (
    asked_routes,
    placed,
    routes_of,
    spelled,
    with_members,
)
from promptmill.producer.submitting.chunks import Chunk
from promptmill.producer.submitting.failure_limit import (
    FailureLimit,
    limit_failures,
    parse_failure_limit,
)
from promptmill.producer.submitting.falling_back import Fallbacks, change_fallbacks, with_fallbacks
from promptmill.producer.submitting.identity import identity_of, options_of, storable, written
from promptmill.producer.submitting.intake import Intake
from promptmill.producer.submitting.lane_order import LaneOrder, change_lane, require_batch_api
from promptmill.producer.submitting.loader import Loader, Opened, TwiceError
from promptmill.producer.submitting.request import (
    How,
    Plan,
    SubmitRequest,
    Submitted,
    check_request,
)
from promptmill.producer.submitting.truncating import change_truncation
from promptmill.producer.submitting.webhook import change_webhook, parse_webhook
from promptmill.schema.database import Database, DatabaseError, first_line
from promptmill.schema.errors import InputError, ServiceError, UsageError
from promptmill.schema.failure import failure
from promptmill.schema.fallbacks import Rules, write_rules
from promptmill.schema.instants import iso
from promptmill.schema.moves.loading import BatchFound, NewBatch, create_batch, find_batch
from promptmill.schema.pools import members_of
from promptmill.schema.settings import Settings
from promptmill.schema.states import BatchState


def submit(
    database: Database,
    request: SubmitRequest,
    settings: Settings,
    *,
    require: Callable[[frozenset[str]], object] = lambda _providers: None,
    admit: Callable[[Plan], object] | None = None,
    report: Callable[[int, int | None], object] = lambda _done, _total: None,
    opened: Opened | None = None,
) -> Submitted:
    """Store the prompts of *request* as a batch and open it, or find the batch that has them.

    Before anything is stored, *require* hears who is asked, and *admit* sees the plan of a batch
    that is not there yet; both may raise a UsageError. With *admit* a large input is read twice.
    *report* is told after each chunk how many prompts are stored, of how many, where that is known.
    *opened* is called in the transaction that opens the batch.

    Raises UsageError, and InputError for a bad line; then nothing is left of it. Raises
    ServiceError where SQL fails; what is stored is kept, and the same call goes on with it.
    """
    check_request(request)
    failures = None if request.max_failures is None else parse_failure_limit(request.max_failures)
    webhook = None if request.webhook is None else parse_webhook(request.webhook, settings.webhooks)
    asked = asked_routes(request, settings)
    options = spelled(request, asked, settings)
    router = Router(settings.kinds, settings.routes, asked)
    with (
        open_input(request.source, settings.state_dir / "spool") as source,
        Intake(source, placed(options, source), router) as intake,
    ):
        submission = _Submission(
            database=database,
            request=request,
            settings=settings,
            options=placed(options, source),
            source=source,
            intake=intake,
            failures=failures,
            webhook=webhook,
            require=require,
            admit=admit,
            report=report,
            opened=opened,
        )
        submitted = None
        try:
            while submitted is None:
                submitted = submission.attempt()
        except DatabaseError as error:
            told = failure(first_line(error), database.file)
            msg = f"{told}\n  type the same command to go on"
            raise ServiceError(msg) from None
    return submitted


def examine(request: SubmitRequest, settings: Settings) -> Plan:
    """Read and check the input of *request*, and say who is asked. Nothing is stored."""
    check_request(request)
    asked = asked_routes(request, settings)
    options = spelled(request, asked, settings)
    with open_input(request.source, settings.state_dir / "spool") as source:
        options = placed(options, source)
        checked = check_input(source, options)
        router = Router(settings.kinds, settings.routes, asked, checked.only_for)
        return Plan(source.name, checked, routes_of(source, options, checked, router))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Submission:
    """One call of `submit`."""

    database: Database
    request: SubmitRequest
    settings: Settings
    options: ReadOptions
    source: Input
    intake: Intake
    failures: FailureLimit | None
    webhook: str | None
    """'' for nobody"""
    require: Callable[[frozenset[str]], object]
    admit: Callable[[Plan], object] | None
    report: Callable[[int, int | None], object]
    opened: Opened | None

    def attempt(self) -> Submitted | None:
        """Find the batch, or make it. None: more is known of it now, so once more."""
        routes = self._routes()
        found = self._find(routes)
        known = found is not None and not self.request.new
        if not known and self.admit is not None and self.intake.checked is None:
            self.intake.look_through()
            return None
        asked = with_fallbacks(routes, self._rules(routes))
        whom = {one.provider for one in chain.from_iterable(asked.values())}
        self.require(frozenset(members_of(whom, self.settings.pools)))
        if self.request.lane is not None:
            first = frozenset(one.provider for one in chain.from_iterable(routes.values()))
            require_batch_api(self.request.lane, first, self.settings)
        if self.admit is not None and self.intake.checked is not None:
            self.admit(Plan(self.source.name, self.intake.checked, routes, known))
        if found is not None and _how(found, new=self.request.new) is How.REUSED:
            if self.request.budget is not None:
                self.intake.look_through()
            self._require_keepable(routes)
            return self._reused(found)
        self._require_keepable(routes)
        return self._load(routes)

    def _load(self, routes: Routes) -> Submitted | None:
        begun = self._batch(routes)
        chunks = self.intake.chunks()
        # Before there is a batch: a bad line near the top leaves no trace.
        first = next(chunks, None)
        found, how = _find_or_create(self.database, begun, new=self.request.new)
        if how is How.REUSED:  # another submit of it was quicker
            return self._reused(found)
        loader = Loader(self.database, found.id)
        try:
            self._store(loader, chain([first] if first else [], chunks), begun.total or None)
            routes = self._routes()
            self._require_keepable(routes)
        except InputError:
            loader.discard()
            raise
        except UsageError:
            if how is How.NEW:
                loader.discard()
            raise
        return self._open(loader, found, how, routes)

    def _store(self, loader: Loader, chunks: Iterable[Chunk], total: int | None) -> None:
        try:
            for chunk in chunks:
                loader.store(chunk)
                self.report(loader.passed, total)
        except TwiceError as twice:
            raise refuse_duplicate(self.source, self.options, twice.custom_id) from None

    def _open(
        self, loader: Loader, found: BatchFound, how: How, routes: Routes
    ) -> Submitted | None:
        batch, number = self._batch(routes), found.identity_no
        of_identity = self._find(routes)
        if of_identity is None:
            number = 0
        elif of_identity.id != found.id:
            if _how(of_identity, new=self.request.new) is not How.NEW:
                loader.discard()
                return None
            number = of_identity.identity_no + 1
        goes_on = how is How.RESUMED and self._change_budget(found.id)
        twins = loader.open(
            batch, identity_no=number, dedupe=self.request.dedupe, opened=self.opened
        )
        if how is How.RESUMED:
            self._change_others(found.id)
        return self._submitted(found.id, batch.total, how, goes_on=goes_on, twins=twins)

    def _reused(self, found: BatchFound) -> Submitted:
        goes_on = self._change_budget(found.id)
        self._change_others(found.id)
        return self._submitted(found.id, found.total, How.REUSED, goes_on=goes_on)

    def _submitted(
        self, batch_id: int, total: int, how: How, *, goes_on: bool, twins: int = 0
    ) -> Submitted:
        name = self.request.name or storable(Path(self.source.name).name)
        kind = self.intake.kind
        return Submitted(batch_id, name, total, how, kind, goes_on=goes_on, twins=twins)

    def _routes(self) -> Routes:
        """Say who is asked, as far as it is known which models are named. Raises UsageError."""
        router, checked = self.intake.router, self.intake.checked
        if checked is not None:
            routes = routes_of(self.source, self.options, checked, router)
        else:
            found = {model: router.answering(model) for model in self.intake.models()}
            routes = {model: asked for model, asked in found.items() if asked}
        if router.only_for is None:
            for provider in sorted({one.provider for one in chain.from_iterable(routes.values())}):
                check_taken(self.options.parameters, router.providers[provider], provider)
        return routes

    def _rules(self, routes: Routes) -> Rules:
        """Say what else may be asked. Raises UsageError."""
        usual, parameters = self.settings.fallbacks, self.options.parameters
        wanted = Fallbacks(self.request.fallbacks, usual, parameters)
        return wanted.rules(routes, self.intake.router)

    def _batch(self, routes: Routes) -> NewBatch:
        """Describe the batch, as far as it is known."""
        request, checked = self.request, self.intake.checked
        lane, scheduled = request.lane or LaneOrder(), request.scheduled
        asked = options_of(
            self.options,
            routes,
            dedupe=request.dedupe,
            order=scheduled.order if scheduled else request.order,
            mask_pii=request.mask_pii,
            pii=self.settings.pii,
        )
        total = 0
        if checked is not None:
            total = sum(len(routes[model]) * rows for model, rows in checked.models.items())
        return NewBatch(
            name=request.name or storable(Path(self.source.name).name),
            identity=identity_of(
                self.source.sha256,
                asked,
                routes,
                files_sha256=b"" if checked is None else checked.files_sha256,
            ),
            input_name=storable(self.source.name),
            options=written(asked).decode(),
            total=total,
            priority=request.priority,
            on_unknown=request.on_unknown or self.settings.retry.on_unknown,
            on_invalid=request.on_invalid or self.settings.retry.on_invalid,
            max_failures=self.failures.of(total) if self.failures and checked else None,
            budget_micros=request.budget.micros if request.budget else None,
            cache_s=request.cache.seconds or None if request.cache else None,
            cache_similar=request.cache.similar if request.cache else None,
            fallbacks=write_rules(self._rules(routes)),
            truncate=request.truncation.how if request.truncation else None,
            max_input_tokens=request.truncation.most if request.truncation else None,
            tenant_id=request.tenant_id,
            lane=lane.lane,
            deadline_s=lane.deadline_s,
            mask_pii=request.mask_pii,
            webhook_url=self.webhook or None,
            waited_by=request.waited_by,
            schedule_id=scheduled.schedule_id if scheduled else None,
            scheduled_at=iso(scheduled.at) if scheduled else None,
        )

    def _find(self, routes: Routes) -> BatchFound | None:
        with self.database.read() as connection:
            return find_batch(connection, self._batch(routes).identity)

    def _require_keepable(self, routes: Routes) -> None:
        budget, checked = self.request.budget, self.intake.checked
        if budget is not None and checked is not None:
            asked = with_members(with_fallbacks(routes, self._rules(routes)), self.settings.pools)
            require_keepable(budget, checked, asked, self.settings.providers)

    def _change_budget(self, batch_id: int) -> bool:
        budget, tenant_id = self.request.budget, self.request.tenant_id
        if budget is None or tenant_id is not None:  # a tenant's is divided: `moves.allowances`
            return False
        return change_budget(self.database, batch_id, budget)

    def _change_others(self, batch_id: int) -> None:
        if self.failures is not None:
            limit_failures(self.database, batch_id, self.failures)
        if self.request.cache is not None:
            change_cache(self.database, batch_id, self.request.cache)
        if self.request.fallbacks is not None:
            change_fallbacks(self.database, batch_id, self._rules(self._routes()))
        if self.request.truncation is not None:
            change_truncation(self.database, batch_id, self.request.truncation)
        if self.request.lane is not None:
            change_lane(self.database, batch_id, self.request.lane)
        if self.webhook is not None:
            change_webhook(self.database, batch_id, self.webhook)


def _how(found: BatchFound | None, *, new: bool) -> How:
    """Say what a submit comes to that finds this batch of its identity. Raises UsageError."""
    if found is None or found.is_gone or (new and found.state != BatchState.LOADING):
        return How.NEW
    if found.state == BatchState.CANCELLED:
        msg = (
            f"this input is batch {found.id}, which was cancelled: `promptmill retry {found.id}`"
            " takes it up again, --new makes another batch"
        )
        raise UsageError(msg)
    return How.RESUMED if found.state == BatchState.LOADING else How.REUSED


def _find_or_create(database: Database, batch: NewBatch, *, new: bool) -> tuple[BatchFound, How]:
    """Find the batch of this identity, or make one. Two that do so at once get the same one."""
    try:
        with database.write() as connection:
            found = find_batch(connection, batch.identity)
            how = _how(found, new=new)
            if found is None or how is How.NEW:
                number = 0 if found is None else found.identity_no + 1
                batch_id = create_batch(connection, batch, identity_no=number)
                found = BatchFound(batch_id, number, BatchState.LOADING, batch.total)
    except DatabaseError:
        with database.read() as connection:
            found = find_batch(connection, batch.identity)
        if found is None:
            raise
        how = _how(found, new=False)
    return found, how
