"""A call that its client waits for: a batch of one line, before all others.

So it has what every prompt has: routing, limits, a budget, retries, a row for each try before it is
made, and its cost in SQL. Who makes it is this process, where it can (`answering`), else a worker.
Where this process dies its client is gone: the sweep then cancels what was not sent of it.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from promptmill.gateway.context import Gateway
from promptmill.gateway.errors import ApiError
from promptmill.gateway.folder import new_id
from promptmill.producer import control
from promptmill.producer.control import MOST_PRIORITY
from promptmill.producer.estimate.budgets import Budget
from promptmill.producer.export.openai_batch import BATCH_COLUMNS, OpenAIBatch
from promptmill.producer.reading import ReadOptions
from promptmill.producer.submitting.answer_cache import AnswerCache
from promptmill.producer.submitting.request import SubmitRequest
from promptmill.producer.submitting.submission import submit
from promptmill.schema.database import Connection
from promptmill.schema.errors import InputError, OverBudgetError, UsageError
from promptmill.schema.exporting import Selection, export_rows, one_moment
from promptmill.schema.gateway_batches import NO_COUNTS, counts_of
from promptmill.schema.moves.allowances import divide_budget, standing_of
from promptmill.schema.moves.queueing import Queued, queue_line
from promptmill.schema.moves.spending import BUDGET
from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.reading import LIVE_NAME, batch_row
from promptmill.schema.states import BatchState, JobState
from promptmill.schema.tenant_options import options_of

_NO_BUDGET = "insufficient_quota"
_KIND, _STATE = BATCH_COLUMNS.index("error_kind"), BATCH_COLUMNS.index("state")
_CANCELLED = "The call was cancelled before it was answered: send it again if it is still wanted."
_PERHAPS = " It had been sent, and may have been charged."


@dataclass(frozen=True, slots=True)
class Reply:
    """What is to be answered."""

    status: int
    body: dict[str, Any]


class LiveCall:
    """One call, as SQL has it. Its methods wait for that: not for the loop's thread."""

    def __init__(
        self, gateway: Gateway, tenant_id: int, url: str, *, cache: AnswerCache | None = None
    ) -> None:
        """*cache*: which answers of other calls of the tenant it takes; None: none."""
        self._gateway, self._tenant_id, self._url = gateway, tenant_id, url
        self._cache = cache
        self._batch_id = 0
        self._providers: Sequence[str] = ()
        self._job: Queued | None = None
        self._has_reply = False

    def begin(self, body: dict[str, Any], providers: Sequence[str]) -> Queued | None:
        """Store the call; where one of *providers* is to answer it, it is the caller's to be made.

        Else workers make it, as soon as the limits allow. Raises ApiError.
        """
        name, self._providers = new_id(LIVE_NAME), providers
        line = {"custom_id": name, "method": "POST", "url": self._url, "body": body}
        written = self._gateway.folder.begin()
        path = self._gateway.folder.path(name)
        try:
            written.write(msgspec.json.encode(line))
            written.keep(path)
            self._batch_id = self._submit(path, name)
        except InputError as error:
            msg = f"{error.problem}: {error.fix}"
            raise ApiError(400, msg, code="invalid_request") from None
        except OverBudgetError:
            msg = "What is left of the tenant's budget is less than this call may cost."
            raise ApiError(429, msg, code=_NO_BUDGET) from None
        except UsageError as error:
            raise ApiError(400, str(error), code="invalid_request") from None
        finally:
            written.discard()
            path.unlink(missing_ok=True)
        return self._job

    def again(self) -> Queued | None:
        """Have the job to be made once more, if it is due and still for one of our providers."""
        with self._gateway.database.write() as connection:
            self._take(connection, self._batch_id)
        return self._job

    def look(self) -> Reply | None:
        """Return the answer, or why there will be none; None: not yet."""
        with self._gateway.database.read() as connection:
            counts = counts_of(connection, [self._batch_id]).get(self._batch_id, NO_COUNTS)
            batch = batch_row(connection, self._batch_id)
        if counts.total and counts.ended:
            self._has_reply = True
            return self._reply()
        if batch is not None and batch.state == BatchState.PAUSED:
            self.cancel()
            why = batch.paused_reason or "paused"
            if why.startswith(BUDGET):
                return refusal(429, why, code=_NO_BUDGET)
            return refusal(503, why, code="paused")
        return None

    def cancel(self) -> None:
        """Let it not be made, where it was not yet: nobody waits for it any more."""
        if self._batch_id and not self._has_reply:
            control.cancel(self._gateway.database, self._batch_id)

    def _submit(self, path: Any, name: str) -> int:
        gateway = self._gateway
        with gateway.database.read() as connection:
            left = standing_of(connection, self._tenant_id).left
            options = options_of(connection, self._tenant_id)
        request = SubmitRequest(
            path,
            ReadOptions(url=self._url),
            name=name,
            order=name,
            tenant_id=self._tenant_id,
            waited_by=gateway.answering.worker_id,
            priority=MOST_PRIORITY,
            cache=self._cache,
            budget=None if left is None else Budget(left),
            mask_pii=options.mask_pii,
            truncation=options.truncation,
            checks=options.checks,
        )
        return submit(gateway.database, request, gateway.settings, opened=self._open).batch_id

    def _open(self, connection: Connection, batch_id: int) -> None:
        """Give the batch its part of the budget, and take its job before the dispatcher sees it."""
        self._batch_id = batch_id  # known from here on, whatever becomes of the commit
        divide_budget(connection, self._tenant_id)
        self._take(connection, batch_id)

    def _take(self, connection: Connection, batch_id: int) -> None:
        self._job = queue_line(connection, batch_id, providers=self._providers)

    def _reply(self) -> Reply:
        """Read the answer as a line of a file of answers has it."""
        answers, errors = io.BytesIO(), io.BytesIO()
        sheet = OpenAIBatch(answers, errors)
        with one_moment(self._gateway.database) as connection:
            everything = Selection(self._batch_id, frozenset(JobState), BATCH_COLUMNS)
            (row,) = [row for rows in export_rows(connection, everything) for row in rows]
        sheet.write([row])
        line = msgspec.json.decode(answers.getvalue() or errors.getvalue())
        if row[_STATE] == JobState.CANCELLED.word:
            # By a person, or by a sweep that took us for dead.
            perhaps = _PERHAPS if row[_KIND] == ErrorKind.UNKNOWN else ""
            return refusal(503, _CANCELLED + perhaps, code="cancelled")
        if line["response"] is None:
            is_clients = row[_KIND] == ErrorKind.REQUEST  # it cannot be said to its provider
            error = line["error"]
            return refusal(400 if is_clients else 502, error["message"], code=error["code"])
        return Reply(line["response"]["status_code"], line["response"]["body"])


def refusal(status: int, message: str, *, code: str | None) -> Reply:
    """Make the reply to a call that has no answer."""
    kind = "invalid_request_error" if status == 400 else "server_error"
    told = {"message": message, "type": kind, "param": None, "code": code}
    return Reply(status, {"error": told})
