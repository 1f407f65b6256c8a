"""How progress is shown: a live table on a terminal, plain lines elsewhere, or JSON events."""

import json
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from promptmill.producer.figures import duration, human
from promptmill.producer.progress import Progress, Tally
from promptmill.producer.rates import Rates
from promptmill.schema.pauses import Pause
from promptmill.schema.states import BatchState

WIDEST = 100
"""columns of the live table"""
_WIDE = 96
"""columns that the table with bars needs"""
_PLAIN_EVERY_S = 5.0
_BAR = 14


class View(Protocol):
    """Something that shows progress while its block lasts."""

    def show(self, progress: Progress, rates: Rates, *, last: bool = False) -> None:
        """Show how far the batch is; *last* when it will not be called again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None: ...


class LiveView:
    """A table that is drawn anew in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=False)

    def show(self, progress: Progress, rates: Rates, *, last: bool = False) -> None:
        # The terminal's own ^C behind a full line would wrap, and the next drawing miss its place.
        width = min(WIDEST, self._console.width - len("^C"))
        self._live.update(progress_panel(progress, rates, width=width), refresh=last)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()


class PlainView:
    """A line now and then, for logs and pipes."""

    def __init__(
        self,
        write: Callable[[str], object] = sys.stderr.write,
        *,
        every_s: float = _PLAIN_EVERY_S,
    ) -> None:
        self._write, self._every_s = write, every_s
        self._next_at = 0.0

    def show(self, progress: Progress, rates: Rates, *, last: bool = False) -> None:
        now = time.monotonic()
        if now < self._next_at and not last:
            return
        self._next_at = now + self._every_s
        self._write(plain_line(progress, rates) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        sys.stderr.flush()


class NoView:
    """Shows nothing."""

    def show(self, progress: Progress, rates: Rates, *, last: bool = False) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class JsonView(PlainView):
    """One JSON object a line on standard output."""

    def __init__(self) -> None:
        super().__init__(sys.stdout.write, every_s=1.0)

    def show(self, progress: Progress, rates: Rates, *, last: bool = False) -> None:
        now = time.monotonic()
        if now < self._next_at and not last:
            return
        self._next_at = now + self._every_s
        self._write(json.dumps(as_event(progress, rates)) + "\n")
        sys.stdout.flush()


def choose_view(*, as_json: bool, quiet: bool = False) -> View:
    """Choose the view that fits where we are."""
    if as_json:
        return JsonView()
    if quiet:
        return NoView()
    console = Console(stderr=True)
    return LiveView(console) if console.is_terminal else PlainView()


def progress_panel(progress: Progress, rates: Rates, *, width: int = WIDEST) -> RenderableType:
    """Draw the table of one batch, *width* columns wide; a narrow one has no bars."""
    batch = progress.batch
    return Panel(
        Group(_table(progress, rates, wide=width >= _WIDE), Text(), _note(progress, rates)),
        title=f"batch {batch.id}  {batch.name}",
        title_align="left",
        border_style="cyan",
        width=width,
    )


def plain_line(progress: Progress, rates: Rates) -> str:
    """Tell progress in one line."""
    all_ = progress.overall
    left = rates.left_s("all", all_.total - all_.ended)
    rate = _rate(progress, rates, "all")
    parts = [
        f"batch {progress.batch.id}: {all_.ended:,} of {all_.total:,} done",
        f"{all_.failed:,} failed",
        f"{all_.retries:,} retries",
        f"{all_.refusals:,} refused (429, 503)",
        *([] if progress.finished and not rate else [f"{rate:.1f}/s"]),
        cost_text(all_),
    ]
    if left is not None and not progress.finished:
        parts.append(f"left {duration(left)}")
    return "  ".join(parts + pause_texts(progress))


def as_event(progress: Progress, rates: Rates) -> dict[str, object]:
    """Tell progress as one JSON object."""
    all_ = progress.overall
    return {
        "event": "finished" if progress.finished else "progress",
        "batch": progress.batch.id,
        "state": progress.batch.state,
        "total": all_.total,
        "succeeded": all_.succeeded,
        "failed": all_.failed,
        "cancelled": all_.cancelled,
        "running": all_.running,
        "waiting": all_.waiting,
        "retries": all_.retries,
        "refusals": all_.refusals,
        "input_tokens": all_.input_tokens,
        "output_tokens": all_.output_tokens,
        "cost_usd": None if all_.unpriced_calls else all_.cost_micros / 1e6,
        "per_second": round(_rate(progress, rates, "all"), 2),
        "pauses": pause_texts(progress),
    }


def pause_texts(progress: Progress) -> list[str]:
    """Name what is paused: the batch, and providers of it."""
    batch = progress.batch
    own = batch.state == BatchState.PAUSED and not progress.finished
    named = [f"batch {batch.id} paused: {batch.paused_reason}"] if own else []
    return named + [pause_text(pause) for pause in progress.pauses]


def pause_text(pause: Pause) -> str:
    """Name a pause, its reason and when it ends."""
    where = f"{pause.provider} {pause.model}".strip()
    until = f" until {pause.until_at:%H:%M:%S} UTC" if pause.until_at else ""
    return f"{where} paused: {pause.reason}{until}"


def cost_text(tally: Tally) -> str:
    """Name a cost; `+ ?` where some answers have no known price."""
    unknown = " + ?" if tally.unpriced_calls else ""
    return f"${tally.cost_micros / 1e6:,.4f}{unknown}"


def _rate(progress: Progress, rates: Rates, name: str) -> float:
    """Choose the rate of late, or once all is done that of the whole time."""
    return rates.mean(name) if progress.finished else rates.per_second(name)


def _table(progress: Progress, rates: Rates, *, wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0), expand=True)
    for header in ("provider", "") if wide else ("provider",):
        table.add_column(header, no_wrap=True)
    tokens = "tokens in/out" if wide else "in/out"
    for header in ("done", "fail", "retry", "429/503", "rate", tokens, "cost"):
        table.add_column(header, justify="right", no_wrap=True)
    rows = [(tally, "") for tally in progress.providers]
    if len(rows) > 1:
        rows.append((progress.overall, "bold"))
    for tally, style in rows:
        table.add_row(*_row(tally, _rate(progress, rates, tally.name), wide=wide), style=style)
    return table


def _row(tally: Tally, rate: float, *, wide: bool) -> list[RenderableType]:
    bar = ProgressBar(total=max(1, tally.total), completed=tally.ended, width=_BAR)
    return [
        tally.name,
        *([bar] if wide else []),
        f"{tally.ended:,}/{tally.total:,}",
        Text(f"{tally.failed:,}", style="red" if tally.failed else ""),
        f"{tally.retries:,}",
        Text(f"{tally.refusals:,}", style="yellow" if tally.refusals else ""),
        f"{rate:.1f}/s",
        f"{human(tally.input_tokens)}/{human(tally.output_tokens)}",
        cost_text(tally),
    ]


def _note(progress: Progress, rates: Rates) -> Text:
    all_ = progress.overall
    note = Text(f"{all_.running:,} running  {all_.waiting:,} waiting  {all_.pending:,} pending")
    left = rates.left_s("all", all_.total - all_.ended)
    if left is not None and not progress.finished:
        note.append(f"   left {duration(left)}", style="dim")
    for text in pause_texts(progress):
        note.append(f"\n{text}", style="yellow")
    return note
