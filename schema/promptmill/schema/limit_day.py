"""When a day's limit is set anew: at midnight of a time zone, by the server's clock."""

from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo

DAY_US = 86_400_000_000


def day_offset_us(zone: str) -> int:
    """Say how long after midnight UTC a day begins in *zone*, in microseconds."""
    if zone == "UTC":
        return 0
    behind = datetime.now(_zone(zone)).utcoffset()
    return -int(behind.total_seconds() * 1e6) if behind else 0


def day_number(server_us: float, zone: str) -> int:
    """Count the days since 2025-01-01, at *server_us* (microseconds since then), in *zone*."""
    return int((server_us - day_offset_us(zone)) // DAY_US)


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
