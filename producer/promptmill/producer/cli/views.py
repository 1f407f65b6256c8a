"""How progress is shown: a live table on a terminal, plain lines elsewhere, or JSON events."""

import sys
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live

from promptmill.producer.cli.events import news_event, progress_event
from promptmill.producer.cli.live_table import (
    WIDEST,
    again_text,
    live_panel,
    pause_texts,
    rate_text,
)
from promptmill.producer.cli.output import as_json_line
from promptmill.producer.figures import duration
from promptmill.producer.inert import for_terminal
from promptmill.producer.watching.news import News
from promptmill.producer.watching.progress import ALL
from promptmill.producer.watching.sight import Sight
from promptmill.producer.watching.spent import cost_text, of_budget

_PLAIN_EVERY_S = 10.0
_EVENT_EVERY_S = 1.0
_NEWS_SHOWN = 3


class View(Protocol):
    """Something that shows progress while its block lasts."""

    def show(self, sight: Sight, *, last: bool = False) -> None:
        """Show a sight; *last* when it will not be called again."""
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
        self._news: deque[News] = deque(maxlen=_NEWS_SHOWN)

    def show(self, sight: Sight, *, last: bool = False) -> None:
        self._news.extend(sight.news)
        # The terminal's own ^C behind a full line would wrap, and the next drawing miss its place.
        width = min(WIDEST, self._console.width - len("^C"))
        panel = live_panel(sight, tuple(self._news), width=width)
        self._live.update(panel, refresh=last)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()


class LineView:
    """A line now and then, and one for what is new: for logs and pipes."""

    def __init__(
        self,
        write: Callable[[str], object] = sys.stderr.write,
        *,
        every_s: float = _PLAIN_EVERY_S,
    ) -> None:
        self._write, self._every_s = write, every_s
        self._next_at = float("-inf")

    def show(self, sight: Sight, *, last: bool = False) -> None:
        for news in sight.news:
            self._write(self.news_line(news, sight) + "\n")
        if sight.monotonic >= self._next_at or last:
            self._next_at = sight.monotonic + self._every_s
            self._write(self.progress_line(sight) + "\n")

    def progress_line(self, sight: Sight) -> str:
        """Tell how far it is."""
        return plain_line(sight)

    def news_line(self, news: News, _sight: Sight) -> str:
        """Tell what is new."""
        return for_terminal(f"{news.at.astimezone():%H:%M:%S} {news.text}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        sys.stderr.flush()


class JsonView(LineView):
    """One JSON object a line on standard output."""

    def __init__(self) -> None:
        super().__init__(_print, every_s=_EVENT_EVERY_S)

    def progress_line(self, sight: Sight) -> str:
        return as_json_line(progress_event(sight))

    def news_line(self, news: News, sight: Sight) -> str:
        return as_json_line(news_event(news, batch_id=sight.progress.batch.id))


class NoView:
    """Shows nothing."""

    def show(self, sight: Sight, *, last: bool = False) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def choose_view(*, as_json: bool, quiet: bool = False) -> View:
    """Choose the view that fits where we are."""
    if as_json:
        return JsonView()
    if quiet:
        return NoView()
    console = Console(stderr=True)
    return LiveView(console) if console.is_terminal else LineView()


def plain_line(sight: Sight) -> str:
    """Tell progress in one line."""
    progress, all_ = sight.progress, sight.progress.overall
    pace = sight.pace(ALL)
    parts = [
        f"batch {progress.batch.id}: {all_.ended:,} of {all_.total:,} done",
        f"{all_.failed:,} failed",
        *([again_text(all_)] if all_.retries or all_.refusals else []),
        *([] if progress.finished and not pace.per_second else [rate_text(pace)]),
        cost_text(all_) + of_budget(progress.batch.spending),
    ]
    if sight.left_s is not None:
        parts.append(f"left {duration(sight.left_s)}")
    return for_terminal("  ".join(parts + pause_texts(sight)))


def _print(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()
