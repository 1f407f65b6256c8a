"""When a cron expression is due, by the clock of a time zone, as Debian's cron has it.

At a change of clocks: an expression of fixed hours that falls into the hour that is left out is
due right after it, and into the hour that comes twice once; one of every hour, or of so many
minutes, goes by the time that has passed.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from promptmill.schema.errors import UsageError
from promptmill.schema.provider_settings import check_zone


def next_time(cron: str, timezone: str, *, after: datetime) -> datetime:
    """Return the first instant after *after* at which it is due, in UTC. Raises UsageError."""
    try:
        zone = ZoneInfo(check_zone(timezone))
    except ValueError as error:
        msg = f"--timezone {timezone!r}: {error}"
        raise UsageError(msg) from None
    try:
        for found in CronSim(cron, after.astimezone(zone)):
            # In the hour that comes twice a fixed time is told as it was the first time.
            instant = found.astimezone(UTC)
            if instant > after:
                return instant
    except CronSimError as error:
        msg = (
            f"{cron!r} is no cron expression ({str(error).lower()}): write five fields, minute"
            " hour day month weekday, such as '0 2 * * MON-FRI'"
        )
        raise UsageError(msg) from None
    msg = f"{cron!r} is never due within 50 years"
    raise UsageError(msg)
