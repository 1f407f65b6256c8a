"""Instants as the two engines write them: PostgreSQL's come as datetimes, SQLite's as text."""

from datetime import UTC, datetime


def iso(instant: datetime) -> str:
    """Write *instant* as SQLite stores it."""
    return (
        instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.")
        + f"{instant.microsecond // 1000:03d}Z"
    )


def parse_instant(value: str | datetime | None) -> datetime | None:
    """Read an instant as either engine returns it."""
    return None if value is None else known_instant(value)


def known_instant(value: str | datetime) -> datetime:
    """Read an instant that is never NULL."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)
