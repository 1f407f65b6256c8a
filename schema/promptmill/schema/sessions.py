"""How a session with either engine is set up, whoever opens it."""

from collections.abc import Collection
from typing import Any, Final

CACHE_BYTES: Final = 64 << 20
"""of pages that a connection to SQLite keeps"""
SQLITE_WAITS_S: Final = 30
"""for a lock"""
SQLITE_PRAGMAS: Final = (
    "pragma journal_mode = wal",
    "pragma synchronous = full",
    "pragma busy_timeout = 30000",
    "pragma foreign_keys = on",
    "pragma temp_store = memory",
    "pragma journal_size_limit = 67108864",
    "pragma trusted_schema = off",
)
SQLITE_READS_ONLY: Final = "pragma query_only = on"
CLIENTS_SHARE: Final = 4 / 3
"""of the patience with PostgreSQL: the server ends a statement first, where it is still there"""
_NOTICED_IN: Final = {
    "connect_timeout": 5,
    # A host that is gone: 5 s of silence, then three probes; or 15 s with something unacknowledged.
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""libpq's words"""


def postgresql_options(told: Collection[str], patience_s: float | None) -> dict[str, Any]:
    """Say what is asked of libpq, beside what the URL has *told* it, which wins.

    *patience_s*: how long a statement may take; None: as long as it takes.
    """
    options = "-c lock_timeout=30s -c idle_in_transaction_session_timeout=60s"
    if patience_s is not None:
        options += f" -c statement_timeout={patience_s * 1000:.0f}"
    noticed_in = {name: value for name, value in _NOTICED_IN.items() if name not in told}
    return {**noticed_in, "application_name": "promptmill", "options": options}
