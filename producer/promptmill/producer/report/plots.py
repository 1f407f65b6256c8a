"""The plots of a report, made of its facts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from itertools import accumulate

from promptmill.producer.figures import duration, human, plural, round_amount
from promptmill.producer.report.facts import Course, Facts, Group
from promptmill.producer.report.plot import Frame, Path, Plot, Tick, Words, round_ticks
from promptmill.producer.report.timeline import busiest_minute, time_ticks
from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.states import JobState

_FULL = (1000.0, 250.0)
_HALF = (484.0, 168.0)
_HALF_LABEL = 20.0
"""what a label of the axis takes on each side of its tick, at most"""
_MINUTE_S = 60.0
_FAR = 4.0
"""a limit so many times above what was reached is told, and not drawn"""
REFUSED = {
    "rate": ("429: rate limit", (ErrorKind.RATE, ErrorKind.DAILY)),
    "overloaded": ("503, 529: provider busy", (ErrorKind.OVERLOADED,)),
    "missed": (
        "errors, cut and unusable answers",
        (ErrorKind.TRANSIENT, ErrorKind.UNKNOWN, ErrorKind.BAD_RESPONSE),
    ),
    "other": ("refused requests, keys, money", (ErrorKind.REQUEST, ErrorKind.KEY, ErrorKind.MONEY)),
}
"""what calls without an answer are sorted into, in the order they are stacked"""
ENDS = {
    "answered": (JobState.SUCCEEDED,),
    "failed": (JobState.FAILED, JobState.QUARANTINED),
    "cancelled": (JobState.CANCELLED,),
}


@dataclass(frozen=True, slots=True)
class Table:
    """The figures behind a plot."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Throughput:
    """Requests and tokens of one group of models against its limits."""

    group: Group
    requests: Plot
    tokens: Plot
    requests_told: str
    tokens_told: str
    table: Table


def progress_plot(facts: Facts, course: Course) -> tuple[Plot, Table]:
    """Draw how many had ended at each moment, of how many."""
    width_s = course.bins.width_s
    sums = {name: _cumulated(course, states) for name, states in ENDS.items()}
    total = facts.overview.progress.batch.total
    ticks = round_ticks(total)
    frame = Frame(*_FULL, x_most=_span(course), y_most=max(ticks[-1], total, 1), left=52)
    paths, below = [], [0.0] * (course.count + 1)
    for name, values in sums.items():
        above = [low + value for low, value in zip(below, values, strict=True)]
        if values[-1]:
            soft = " soft" if name == "answered" else ""
            paths.append(Path(frame.between(below, above, width_s), f"area {name}{soft}"))
            if soft:
                paths.append(Path(frame.curve(above, width_s), f"line {name}"))
        below = above
    paths.append(Path(frame.level(total), "limit"))
    words = Words(frame.right, frame.y(total) - 5, plural(total, "prompt"), "note end")
    at = _clock(course)
    rows = [
        (at(n + 1), *(f"{round(sums[name][n + 1]):,}" for name in ENDS))
        for n in range(course.count)
    ]
    tips = [
        f"{row[0]}: " + ", ".join(f"{row[i]} {name}" for i, name in enumerate(ENDS, 1) if i < 3)
        for row in rows
    ]
    label = f"Prompts that had ended, over time: {round(below[-1]):,} of {total:,} at the end"
    plot = _plot(frame, label, course, [(tick, round_amount(tick)) for tick in ticks], paths)
    plot = replace(plot, words=(words,), spots=frame.spots(tips, width_s))
    return plot, Table(("until, UTC", *ENDS), tuple(rows))


def throughputs(facts: Facts, course: Course) -> list[Throughput]:
    """Draw requests and tokens a minute of each group of models, and what limits them."""
    return [_throughput(group, no, course) for no, group in enumerate(facts.groups)]


def _throughput(group: Group, no: int, course: Course) -> Throughput:
    own = [call for call in course.calls if call.group == no]
    requests, given, answered = [0] * course.count, [0] * course.count, [0] * course.count
    for call in own:
        place = min(call.bin, course.count - 1)
        requests[place] += call.calls
        given[place] += call.input_tokens
        answered[place] += call.output_tokens
    both = [a + b for a, b in zip(given, answered, strict=True)]
    counted = {"tpm": both, "itpm": given, "otpm": answered}
    peaks = {name: busiest_minute(counted[name], course.bins.width_s) for name in counted}
    tightest = max(
        (name for name in counted if name in group.limits),
        key=lambda name: peaks[name] / group.limits[name],
        default="tpm",
    )
    kind = {"tpm": "tokens", "itpm": "input tokens", "otpm": "output tokens"}[tightest]
    limits = (group.limits.get("rpm"), group.limits.get(tightest))
    at = _clock(course)
    rows = [
        (at(n), f"{requests[n]:,}", f"{given[n]:,}", f"{answered[n]:,}")
        for n in range(course.count)
        if requests[n]
    ]
    return Throughput(
        group=group,
        requests=_rate_plot(requests, "requests", limits[0], group, course),
        tokens=_rate_plot(counted[tightest], kind, limits[1], group, course),
        requests_told=_told(requests, "requests", limits[0], course),
        tokens_told=_told(counted[tightest], kind, limits[1], course),
        table=Table(("from, UTC", "requests", "tokens in", "tokens out"), tuple(rows)),
    )


def _rate_plot(
    counts: Sequence[int], what: str, limit: float | None, group: Group, course: Course
) -> Plot:
    width_s = course.bins.width_s
    rates = [count * 60 / width_s for count in counts]
    peak = max(rates)
    is_near = limit is not None and limit <= max(peak, 1) * _FAR
    ticks = round_ticks(max(peak, limit if limit and is_near else 0, 1), about=3)
    frame = Frame(*_HALF, x_most=_span(course), y_most=ticks[-1], top=18)
    paths = [
        Path(frame.steps([0] * course.count, rates, width_s), "area answered soft"),
        Path(frame.outline(rates, width_s), "line answered"),
    ]
    words: tuple[Words, ...] = ()
    if limit and is_near:
        paths.append(Path(frame.level(limit), "limit"))
        words = (
            Words(frame.right, frame.y(limit) - 5, f"limit {round_amount(limit)}", "note end"),
        )
    at = _clock(course)
    tips = [f"{at(n)}: {rate:,.0f} {what} a minute" for n, rate in enumerate(rates)]
    label = f"{what.capitalize()} a minute of {group.provider} {group.name}, over time"
    plot = _plot(frame, label, course, [(tick, round_amount(tick)) for tick in ticks], paths)
    return replace(plot, words=words, spots=frame.spots(tips, width_s))


def _told(counts: Sequence[int], what: str, limit: float | None, course: Course) -> str:
    if course.span_s < _MINUTE_S:  # its busiest minute would say little of how fast it was
        within = f"{human(sum(counts))} {what} in {duration(course.span_s)}"
        return f"{within}; the limit is {round_amount(limit)} a minute" if limit else within
    peak = busiest_minute(counts, course.bins.width_s)
    most = f"{human(peak)} {what} in the busiest minute"
    return (
        f"{most}, {100 * peak / limit:.0f}% of the limit of {round_amount(limit)}"
        if limit
        else most
    )


def refusals_plot(course: Course) -> tuple[Plot, Table, Mapping[str, int]] | None:
    """Draw the calls that gave no answer, by what they came to; None where each gave one."""
    counts = {name: [0] * course.count for name in REFUSED}
    for call in course.calls:
        for name, (_, kinds) in REFUSED.items():
            if call.error_kind in kinds:
                counts[name][min(call.bin, course.count - 1)] += call.calls
    sums = {name: sum(values) for name, values in counts.items()}
    if not any(sums.values()):
        return None
    stacked = [sum(values) for values in zip(*counts.values(), strict=True)]
    ticks = round_ticks(max(stacked), about=3)
    frame = Frame(_FULL[0], 190.0, x_most=_span(course), y_most=ticks[-1], left=52)
    paths, floors = [], [0.0] * course.count
    for name, values in counts.items():
        if sums[name]:
            paths.append(Path(frame.bars(values, floors, course.bins.width_s), f"area {name}"))
            floors = [low + value for low, value in zip(floors, values, strict=True)]
    at = _clock(course)
    shown = [name for name in REFUSED if sums[name]]
    rows = tuple(
        (at(n), *(f"{counts[name][n]:,}" for name in shown))
        for n in range(course.count)
        if stacked[n]
    )
    tips = [
        f"{at(n)}: "
        + ", ".join(f"{counts[name][n]:,} {REFUSED[name][0]}" for name in shown if counts[name][n])
        if stacked[n]
        else ""
        for n in range(course.count)
    ]
    label = f"Calls that gave no answer, over time: {sum(stacked):,} in all"
    plot = _plot(frame, label, course, [(tick, round_amount(tick)) for tick in ticks], paths)
    plot = replace(plot, spots=frame.spots(tips, course.bins.width_s))
    headers = ("from, UTC", *(REFUSED[name][0] for name in shown))
    return plot, Table(headers, rows), {name: sums[name] for name in shown}


def _plot(
    frame: Frame,
    label: str,
    course: Course,
    y_ticks: Sequence[tuple[float, str]],
    paths: Sequence[Path],
) -> Plot:
    return Plot(
        label=label,
        width=frame.width,
        height=frame.height,
        left=frame.left,
        right=frame.right,
        top=frame.top,
        bottom=frame.bottom,
        x_ticks=tuple(_time_ticks(frame, _span(course))),
        y_ticks=tuple(Tick(frame.y(at), text) for at, text in y_ticks),
        paths=tuple(paths),
    )


def _time_ticks(frame: Frame, span_s: float) -> Iterator[Tick]:
    for at, text in time_ticks(span_s):
        fits = frame.x(at) + _HALF_LABEL <= frame.width
        yield Tick(frame.x(at), text if fits else "")


def _span(course: Course) -> float:
    return course.count * course.bins.width_s


def _cumulated(course: Course, states: Sequence[JobState]) -> list[float]:
    """Count what had ended in *states* by the edge of each bin, the first of which is the start."""
    new = [0] * course.count
    for (no, state), jobs in course.ended.items():
        if state in states:
            new[max(0, min(no, course.count - 1))] += jobs
    return [0.0, *accumulate(new)]


def _clock(course: Course) -> Callable[[int], str]:
    """Return what names the edge of a bin by the clock, in UTC."""
    of_days = course.count * course.bins.width_s > 86_400
    form = "%d %b %H:%M" if of_days else "%H:%M:%S"
    if course.bins.width_s >= 60 and not of_days:
        form = "%H:%M"
    fine = course.bins.width_s < 1

    def at(no: int) -> str:
        instant = course.bins.origin + timedelta(seconds=no * course.bins.width_s)
        text = f"{instant.astimezone(UTC):{form}}"
        return f"{text}.{instant.microsecond // 100_000}" if fine else text

    return at
