"""Numbers as people read them, on a terminal and in reports."""


def duration(seconds: float) -> str:
    """Write seconds: 14m10s, 3h05m, 2d04h."""
    whole = round(seconds)
    days, hours, minutes = whole // 86400, whole // 3600, whole // 60 % 60
    if days:
        return f"{days}d{hours % 24:02d}h"
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{whole % 60:02d}s" if minutes else f"{whole}s"


def human(number: float) -> str:
    """Write a count with two or three digits: 2.3M, 452k, 86."""
    for scale, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= scale * 0.9995:
            scaled = number / scale
            return f"{scaled:.0f}{letter}" if scaled >= 99.95 else f"{scaled:.1f}{letter}"
    return f"{number:.0f}"


def round_amount(number: float) -> str:
    """Write a round number, as on an axis or of a limit: 750k, 1M, 1.5k, 12.5k."""
    for scale, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= scale:
            return f"{number / scale:.4g}{letter}"
    return f"{number:g}"


def milliseconds(latency_ms: float) -> str:
    """Write a latency with two or three digits: 640 ms, 1.2 s, 14 s, 2m05s."""
    seconds = latency_ms / 1000
    if seconds < 1:
        return f"{latency_ms:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return duration(seconds)


def share(part: float, whole: float) -> str:
    """Write a share, never as all or nothing where it is not: 99.9%, <0.1%."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    if percent in (0, 100):
        return f"{percent:.0f}%"
    if percent < 0.1:
        return "<0.1%"
    return f"{min(percent, 99.9):.1f}%"


def plural(count: int, noun: str, several: str | None = None) -> str:
    """Write a count with its noun: 1 prompt, 2 prompts."""
    return f"{count:,} {noun if count == 1 else several or noun + 's'}"
