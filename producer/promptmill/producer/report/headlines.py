"""What a report says in words and in large figures."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from promptmill.producer.advice import how_to_resume, what_to_do
from promptmill.producer.figures import duration, human, milliseconds, plural, share
from promptmill.producer.report.facts import Course, Facts, Model
from promptmill.producer.report.plots import ENDS
from promptmill.producer.report.timeline import busiest_minute
from promptmill.producer.watching.lane_text import lane_lines
from promptmill.producer.watching.latency import merged, percentiles
from promptmill.producer.watching.progress import ALL, Tally
from promptmill.schema.answers import FailureGroup
from promptmill.schema.money import dollars
from promptmill.schema.states import BatchState, JobState

_LONGEST_ERROR = 400


@dataclass(frozen=True, slots=True)
class Number:
    """One of the large figures on top."""

    name: str
    value: str
    more: str
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """A colour of a plot, what it means, and how many."""

    style: str
    count: str
    name: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What holds the batch up, and what to do."""

    what: str
    do: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Prompts that failed for one reason."""

    group: FailureGroup
    name: str
    text: str
    what_to_do: str


def lead(facts: Facts) -> str:
    """Tell in a sentence or two how it went."""
    progress = facts.overview.progress
    overall, batch = progress.overall, progress.batch
    if batch.state == BatchState.LOADING:
        return "Its prompts are still being stored."
    if not overall.total:
        return "This batch has no prompts."
    took = f" in {duration(facts.course.span_s)}" if facts.course else ""
    prompts = plural(overall.total, "prompt")
    if batch.state == BatchState.CANCELLED:
        return f"Cancelled with {overall.succeeded:,} of {prompts} answered{took}."
    if not progress.finished:
        left = overall.total - overall.ended
        how = "Paused" if progress.held else "In progress"
        return f"{how}: {overall.succeeded:,} of {overall.total:,} answered{took}, {left:,} left."
    if overall.succeeded == overall.total:
        all_were = "The one prompt was" if overall.total == 1 else f"All {overall.total:,} were"
        return f"{all_were} answered{took}."
    if not overall.succeeded:
        return f"None of {prompts} was answered{took}."
    return f"{overall.succeeded:,} of {prompts} answered{took}."


def numbers(facts: Facts) -> Iterator[Number]:
    """Give the figures that everybody asks for first."""
    overall = facts.overview.progress.overall
    answered = f"{share(overall.succeeded, overall.total)} of {overall.total:,}"
    if overall.hits:
        answered += f", {overall.hits:,} from the cache"
    yield Number("Answered", f"{overall.succeeded:,}", answered)
    kinds = plural(len(facts.overview.failures), "reason")
    yield Number(
        "Failed",
        f"{overall.failed:,}",
        f"{share(overall.failed, overall.total)}, {kinds}" if overall.failed else "none",
        is_bad=bool(overall.failed),
    )
    yield _time(facts, facts.course)
    yield _rate(overall, facts.course)
    found = percentiles(merged(group.histogram for group in facts.groups))
    slow = f"95% within {milliseconds(found.p95_ms)}" if found else "nothing answered"
    if first := facts.overview.first_token.get(ALL):
        slow += (
            f"; first token {milliseconds(first.p50_ms)}, 95% within {milliseconds(first.p95_ms)}"
        )
    yield Number("Latency, median", milliseconds(found.p50_ms) if found else "-", slow)
    yield _cost(overall)


def _time(facts: Facts, course: Course | None) -> Number:
    if course is None:
        return Number("Time", "-", "nothing sent yet")
    begin, end = course.bins.origin.astimezone(UTC), course.last_at.astimezone(UTC)
    form = "%H:%M" if begin.date() == end.date() else "%d %b %H:%M"
    rate = sum(jobs for _, jobs in course.ended.items()) / max(course.span_s, 1e-3)
    progress = facts.overview.progress
    left = progress.overall.total - progress.overall.ended
    if left and rate and not progress.held and progress.batch.state == BatchState.OPEN:
        return Number("Time", duration(course.span_s), f"about {duration(left / rate)} left")
    return Number("Time", duration(course.span_s), f"{begin:{form}} to {end:{form}}")


def _rate(overall: Tally, course: Course | None) -> Number:
    if course is None:
        return Number("Answers a second", "-", "")
    answers = [0] * course.count
    for (no, state), jobs in course.ended.items():
        if state == JobState.SUCCEEDED:
            answers[max(0, min(no, course.count - 1))] += jobs
    busiest = human(busiest_minute(answers, course.bins.width_s))
    rate = overall.succeeded / max(course.span_s, 1e-3)
    return Number(
        "Answers a second",
        f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}",
        f"peak {busiest} a minute",
    )


def _cost(overall: Tally) -> Number:
    tokens = f"{human(overall.input_tokens)} in, {human(overall.output_tokens)} out"
    return Number("Cost", cost(overall), tokens)


def cost(spent: Tally | Model) -> str:
    """Write what was spent, and whether some of it is not known."""
    if not spent.unpriced_calls:
        return dollars(spent.cost_micros)
    return f"{dollars(spent.cost_micros)} + ?" if spent.cost_micros else "unknown"


def notices(facts: Facts) -> Iterator[Notice]:
    """Tell what holds it up."""
    progress = facts.overview.progress
    batch = progress.batch
    if batch.state == BatchState.PAUSED and not progress.finished:
        yield Notice(
            f"Paused: {batch.paused_reason}", f"promptmill resume {batch.id} lets it go on."
        )
    if progress.finished:
        return
    for line in lane_lines(progress.away):
        yield Notice(f"{line.strip()}.", "A batch API takes up to a day.")
    for pause in progress.pauses:
        until = f" until {moment(pause.until_at)} UTC" if pause.until_at else ""
        where = f"{pause.provider} {pause.model}".strip()
        yield Notice(f"{where} is paused{until}: {pause.reason}", _sentence(how_to_resume(pause)))


def ends(facts: Facts) -> Iterator[Key]:
    """Name the colours of the plot of progress."""
    overall = facts.overview.progress.overall
    counts = dict(zip(ENDS, (overall.succeeded, overall.failed, overall.cancelled), strict=True))
    for name, count in counts.items():
        if count or name == "answered":
            yield Key(name, f"{count:,}", name)
    if left := overall.total - overall.ended:
        yield Key("left", f"{left:,}", "left")


def groups_left(facts: Facts) -> str:
    """Say how many models have no plot of their own."""
    shown = {(group.provider, model) for group in facts.groups for model in group.models}
    left = sum((one.provider, one.name) not in shown for one in facts.models)
    return plural(left, "model") if left else ""


def failures_told(facts: Facts) -> str:
    """Say what the list of failures is of."""
    counted = facts.overview.failures_counted
    of = f" Counted over the first {counted:,} that failed." if counted else ""
    return f"By reason, the most frequent first, each with one prompt that it happened to.{of}"


def failures(facts: Facts) -> list[Failure]:
    """Tell why prompts failed, and what to do about each reason."""
    batch_id = facts.overview.progress.batch.id
    return [
        Failure(
            group=group,
            name=" ".join(filter(None, (group.error_kind or "no attempt", group.error_code))),
            text=_cut(group.example.error_text or ""),
            what_to_do=_sentence(what_to_do(group, batch_id)),
        )
        for group in facts.overview.failures
    ]


def moment(instant: datetime | str) -> str:
    """Write an instant to the minute, in UTC: 22 Nov 2026 12:04."""
    known = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    return f"{known.astimezone(UTC):%d %b %Y %H:%M}"


def _sentence(advice: str) -> str:
    plain = advice.replace("`", "")
    return f"{plain[0].upper()}{plain[1:]}."


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST_ERROR else flat[: _LONGEST_ERROR - 1] + "…"
