"""Tell a provider that is down from jobs that fail: by what the last calls of a model came to.

A 500 is its job's own trouble, and uses up an attempt. When all calls fail so, it is the
provider's: then the job is only refused, everybody waits, and single calls try how it is.
"""

from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from http import HTTPStatus
from typing import Final

from promptmill.schema.outcomes import ErrorKind
from promptmill.workers.limits.limit import Booked, Scope
from promptmill.workers.providers.base import Answer, Refusal

ROW: Final = 10
"""Failures in a row, and of as many jobs: the last three jobs of a batch, which can never be
answered, are no outage."""
_SAME_S: Final = 300.0
"""An overload that is told later than this after the last one is another one."""
_SAYS_NOTHING: Final = frozenset(
    {
        ErrorKind.RATE,
        ErrorKind.OVERLOADED,
        ErrorKind.DAILY,
        ErrorKind.UNKNOWN,
        ErrorKind.MONEY,
        ErrorKind.KEY,
    }
)


class Health(Enum):
    """How a provider is, as far as a call tells."""

    WELL = "well"
    DOWN = "down"
    DOWN_FOR_LONG = "down for long"
    """so long that jobs are to come to an end"""


class _Row:
    """The failures of one model since its last answer."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.count = 0
        self.jobs: set[int] = set()

    @property
    def is_outage(self) -> bool:
        return self.count >= ROW and len(self.jobs) >= ROW


class Outages:
    """What the calls of this process came to. For one thread; *clock* is monotonic, in seconds.

    An outage uses up no attempts for *patience_s*.
    """

    def __init__(self, *, patience_s: float, clock: Callable[[], float]) -> None:
        self._patience_s, self._clock = patience_s, clock
        self._rows: dict[tuple[str, str, str], _Row] = {}
        self._busy: dict[tuple[str, str, str], tuple[float, float]] = {}
        """since when, and when last, a provider said of a model that it is overloaded, and answered
        nobody here"""

    def observe(self, scope: Scope, job_id: int, reply: Answer | Refusal) -> Health:
        """Take in what a call came to, and say what that tells of its provider and model."""
        key = (scope.provider, scope.account, scope.model)
        if isinstance(reply, Answer):
            self._rows.pop(key, None)
            self._busy.pop(key, None)
            return Health.WELL
        if reply.kind is ErrorKind.OVERLOADED:
            self._busy[key] = self._busy_since(key), self._clock()
        if reply.kind is not ErrorKind.TRANSIENT or reply.http_status == HTTPStatus.OK:
            if reply.kind not in _SAYS_NOTHING:
                self._rows.pop(key, None)
                self._busy.pop(key, None)
            return Health.WELL
        now = self._clock()
        row = self._rows.setdefault(key, _Row(now))
        row.count += 1
        if len(row.jobs) < ROW:
            row.jobs.add(job_id)
        if not row.is_outage:
            return Health.WELL
        return Health.DOWN if now - row.since < self._patience_s else Health.DOWN_FOR_LONG

    def lasts_s(self, scope: Scope) -> float | None:
        """Tell for how long nobody was answered in *scope*; None: there is no outage."""
        key = (scope.provider, scope.account, scope.model)
        row = self._rows.get(key)
        begun = [self._busy[key][0]] if key in self._busy else []
        begun += [row.since] if row is not None and row.is_outage else []
        return self._clock() - min(begun) if begun else None

    def _busy_since(self, key: tuple[str, str, str]) -> float:
        now = self._clock()
        since, last = self._busy.get(key, (now, now))
        return since if now - last <= _SAME_S else now


def refused_by_all(refusal: Refusal) -> Refusal:
    """Say of a failure in an outage what it means: the provider is not there for anybody."""
    return replace(refusal, kind=ErrorKind.OVERLOADED)


class Told:
    """Which pauses this process has told of. Calls that were booked together are one pause."""

    def __init__(self) -> None:
        self._plans: dict[tuple[str, str, str], tuple[int, int]] = {}

    def is_new(self, scope: Scope, refused: Booked | None) -> bool:
        """Tell whether nobody has told of this refusal yet, and take it for told."""
        if refused is None:
            return True
        key = (scope.provider, scope.account, scope.model)
        plan = (refused.epoch, refused.plan)
        is_new = self._plans.get(key) != plan
        self._plans[key] = plan
        return is_new
