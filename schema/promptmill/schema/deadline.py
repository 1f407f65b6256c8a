"""Connections to PostgreSQL on which nothing waits for ever.

A server that hangs, or a proxy that keeps a connection open to a server that is gone, answers TCP's
probes: no option of libpq ends a wait for it. So each wait has an end on this side, too.
"""

from typing import Any

from psycopg import Connection, OperationalError
from psycopg.pq import TransactionStatus


class DeadlineConnection(Connection[Any]):
    """A connection that is closed when the server says nothing for `deadline_s`."""

    deadline_s: float

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait as psycopg does, and not longer than the deadline. All its waits come by here."""
        try:
            return super().wait(gen, interval, timeout or self.deadline_s)
        except OperationalError:
            if timeout is None and self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                # Every error that the server tells has ended the statement.
                self.pgconn.finish()
                msg = f"PostgreSQL said nothing for {self.deadline_s:g} s"
                raise OperationalError(msg) from None
            raise


def connect_within(deadline_s: float, *args: Any, **options: Any) -> DeadlineConnection:
    """Connect as `psycopg.connect` does; each later wait ends after *deadline_s* seconds."""
    connection = DeadlineConnection.connect(*args, **options)
    connection.deadline_s = deadline_s
    return connection
