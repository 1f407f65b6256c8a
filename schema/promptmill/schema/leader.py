"""Lead, or stand by: of several dispatchers one works, by a lease row in SQL.

Two that lead at once, for the moment that one takes to notice, do no harm: every move they make is
a compare-and-set.
"""

from collections.abc import Callable

import structlog

from promptmill.schema.database import Database
from promptmill.schema.host import owner_is_gone
from promptmill.schema.presence import keep_lead, leader_of, resign_lead, seize_lead
from promptmill.schema.standstill import Standstill

_log = structlog.get_logger(__name__)
_BEATS = 5
"""beats in the time after which a leader is taken for dead"""


class Lead:
    """Our part in the election; *patience_s* is how long a leader's beat may stand still."""

    def __init__(
        self,
        database: Database,
        *,
        role: str,
        owner: str,
        patience_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._database, self._role, self._owner = database, role, owner
        self._patience_s, self._clock = patience_s, clock
        self._watch = Standstill(longest_gap_s=2 * patience_s / _BEATS)
        self._leads = False
        self._next_at = clock()

    @property
    def leads(self) -> bool:
        """Whether we led when it was last looked at."""
        return self._leads

    def hold(self) -> bool:
        """Beat as the leader, or watch the leader, when it is time to; say whether we lead."""
        now = self._clock()
        if now >= self._next_at:
            led, self._leads = self._leads, self._keep() if self._leads else self._try(now)
            self._next_at = now + self._patience_s / _BEATS
            if led != self._leads:
                _log.info("leads" if self._leads else "stands by", role=self._role)
        return self._leads

    def missed(self) -> None:
        """Take in that SQL could not be read: that time does not count against the leader."""
        self._watch.missed()

    def resign(self) -> None:
        """Give up the lead, so that the next one need not wait."""
        if self._leads:
            self._leads = False
            with self._database.write() as connection:
                resign_lead(connection, self._role, owner=self._owner)

    def _keep(self) -> bool:
        with self._database.write() as connection:
            return keep_lead(connection, self._role, owner=self._owner)

    def _try(self, now: float) -> bool:
        with self._database.read() as connection:
            seen = leader_of(connection, self._role)
        if seen is not None:
            self._watch.observe(now, dict([seen]))
            if self._watch.still_s(seen[0]) < self._patience_s and not owner_is_gone(seen[0]):
                return False
        with self._database.write() as connection:
            return seize_lead(connection, self._role, owner=self._owner, seen=seen)
