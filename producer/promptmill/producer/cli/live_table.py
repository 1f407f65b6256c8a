"""The live table: nine columns on 100, fewer on less, and what is new in words below them."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from promptmill.producer.figures import duration, human, round_amount, share
from promptmill.producer.inert import for_terminal
from promptmill.producer.watching.news import News, NewsKind, pause_text
from promptmill.producer.watching.progress import Progress, Tally
from promptmill.producer.watching.sight import Ceiling, Pace, Sight
from promptmill.producer.watching.spent import budget_text, cost_text
from promptmill.schema.states import BatchState

WIDEST = 100
"""columns of the live table"""
_WIDE, _NARROW = 92, 72
"""columns that the table needs with bars, and with the use of limits"""
_BAR = 12
_COLUMNS = {
    "done": (7, 0),
    "fail": (5, 0),
    "again": (5, 0),
    "rate": (7, 0),
    "requests/min": (12, _NARROW),
    "tokens/min": (10, _NARROW),
    "cost": (8, 0),
}
"""header: how wide at least, so that nothing jumps, and from which width of all it is shown"""
_LONGEST_NAME = 40
_STYLES = {
    NewsKind.REFUSED: "yellow",
    NewsKind.HELD: "yellow",
    NewsKind.PAUSED: "bold yellow",
    NewsKind.RESUMED: "green",
}


def live_panel(sight: Sight, news: Sequence[News], *, width: int = WIDEST) -> RenderableType:
    """Draw one batch, *width* columns wide, with the latest *news*."""
    parts: list[RenderableType] = [_table(sight, width=width), Text(), _foot(sight)]
    parts += [_line(one) for one in news]
    parts += [Text(text, style="yellow") for text in _pauses(sight, news)]
    return Panel(
        Group(*parts),
        title=_title(sight.progress),
        title_align="left",
        border_style="cyan",
        width=width,
    )


def pause_texts(sight: Sight) -> list[str]:
    """Name what is paused: the batch, and providers of it."""
    progress = sight.progress
    batch = progress.batch
    own = batch.state == BatchState.PAUSED and not progress.finished
    named = [f"batch {batch.id} paused: {batch.paused_reason}"] if own else []
    return named + [pause_text(pause, now=sight.at) for pause in progress.pauses]


def _title(progress: Progress) -> Text:
    batch, overall = progress.batch, progress.overall
    name = for_terminal(" ".join(batch.name.split()))
    shown = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
    done = f"{overall.ended:,} of {overall.total:,}, {share(overall.ended, overall.total)}"
    return Text(f"batch {batch.id}  {shown}  {done}")


def _table(sight: Sight, *, width: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0), expand=True)
    table.add_column("provider", no_wrap=True)
    if width >= _WIDE:
        table.add_column("", no_wrap=True, width=_BAR)
    for header, (least, from_width) in _COLUMNS.items():
        if width >= from_width:
            table.add_column(header, justify="right", no_wrap=True, min_width=least)
    rows = [(tally, "") for tally in sight.progress.providers]
    if len(rows) > 1:
        rows.append((sight.progress.overall, "bold"))
    for tally, style in rows:
        table.add_row(*_row(tally, sight, width=width), style=style)
    return table


def _row(tally: Tally, sight: Sight, *, width: int) -> Iterable[RenderableType]:
    pace, ceiling = sight.pace(tally.name), sight.ceilings.get(tally.name, Ceiling())
    yield for_terminal(tally.name)
    if width >= _WIDE:
        yield ProgressBar(total=max(1, tally.total), completed=tally.ended, width=_BAR)
    yield f"{tally.ended:,}"
    yield Text(f"{tally.failed:,}", style="red" if tally.failed else "")
    again = tally.retries + tally.refusals
    yield Text(f"{again:,}", style="yellow" if tally.refusals else "")
    yield rate_text(pace)
    if width >= _NARROW:
        yield _against(pace.requests_a_minute, ceiling.rpm)
        yield _against(pace.tokens_a_minute, ceiling.tpm)
    yield cost_text(tally)


def rate_text(pace: Pace) -> str:
    """Name how many prompts end a second."""
    return f"{pace.per_second:.1f}/s" if pace.per_second < 100 else f"{pace.per_second:,.0f}/s"


def _against(used: float, limit: float | None) -> str:
    return f"{human(used)}/{round_amount(limit)}" if limit else human(used)


def _foot(sight: Sight) -> Text:
    all_ = sight.progress.overall
    note = Text(f"{all_.running:,} running  {all_.waiting:,} waiting  {all_.pending:,} to do")
    note.append(f"   {human(all_.input_tokens)} tokens in, {human(all_.output_tokens)} out")
    if sight.left_s is not None:
        note.append(f"   left {duration(sight.left_s)}", style="bold")
    if all_.refusals or all_.retries:
        note.append(f"\n{again_text(all_)}", style="dim")
    if all_.hits:
        note.append(f"\n{all_.hits:,} answered by the cache, without a call", style="dim")
    spending = sight.progress.batch.spending
    if spending is not None and spending.budget is not None:
        note.append(f"\nbudget: {budget_text(spending)}", style="dim")
    if names := sight.progress.unattended:
        note.append(f"\nno worker is up yet for {', '.join(names)}", style="yellow")
    return note


def again_text(tally: Tally) -> str:
    """Name the calls that were made, or will be made, again, and why."""
    parts = [f"{tally.refusals:,} refused (429, 503)"] if tally.refusals else []
    parts += [f"{tally.retries:,} failed"] if tally.retries else []
    calls = tally.refusals + tally.retries
    return f"{calls:,} {'call' if calls == 1 else 'calls'} made again: {', '.join(parts)}"


def _line(news: News) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{news.at.astimezone():%H:%M:%S} ", style="dim")
    return line.append(for_terminal(news.text), style=_STYLES[news.kind])


def _pauses(sight: Sight, news: Sequence[News]) -> list[str]:
    """Name the pauses that the news do not show, or no more."""
    shown = {(one.provider, one.kind) for one in news}
    progress, batch = sight.progress, sight.progress.batch
    lines = [
        pause_text(pause, now=sight.at)
        for pause in progress.pauses
        if (pause.provider, NewsKind.PAUSED) not in shown
    ]
    if batch.state == BatchState.PAUSED and ("", NewsKind.PAUSED) not in shown:
        lines.insert(0, f"batch {batch.id} paused: {batch.paused_reason}")
    return [for_terminal(line) for line in lines]
