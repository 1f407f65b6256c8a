"""The tables, the same on SQLite and PostgreSQL: a file for each idea.

Cost is in integer micro-dollars, NULL for unknown. Indexes are partial and say which query they
serve. Moves, counters and rollups are kept by the triggers in `triggers`.
"""

from promptmill.schema.tables import (
    attempts,
    batches,
    crew,
    database,
    gateway,
    jobs,
    prompts,
    provider_batches,
    results,
    schedules,
    similar,
    tenants,
    totals,
    webhooks,
)
from promptmill.schema.tables.metadata import metadata

__all__ = [
    "attempts",
    "batches",
    "crew",
    "database",
    "gateway",
    "jobs",
    "metadata",
    "prompts",
    "provider_batches",
    "results",
    "schedules",
    "similar",
    "tenants",
    "totals",
    "webhooks",
]
