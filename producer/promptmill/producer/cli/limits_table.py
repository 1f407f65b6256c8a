"""The table of all limits: one for each key, with what there is to say below it."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from promptmill.producer.cli.limits_text import amount, heading, remarks, scope_name
from promptmill.producer.cli.output import console, plain
from promptmill.producer.limits.standing import DimensionStanding, ScopeStanding
from promptmill.schema.live_limits import ACCOUNT

_COLUMNS = ("limit", "configured", "told", "enforced", "at hand", "a second")


def print_standings(standings: Sequence[ScopeStanding]) -> None:
    """Print all that *standings* tell; those of one key stand together."""
    out, now = console(), datetime.now(UTC)
    for number, (_, ours) in enumerate(groupby(standings, key=lambda each: each.account)):
        if number:
            out.print()
        _print_key(out, list(ours), now)


def _print_key(out: Console, standings: Sequence[ScopeStanding], now: datetime) -> None:
    out.print(Text(plain(heading(standings[0])), style="bold"))
    held = any(each.paused_s(now) for each in standings if each.name == ACCOUNT)
    rows = [row for each in standings for row in _rows(each, held or each.paused_s(now) > 0)]
    if rows:
        out.print(_table(rows))
    for standing in standings:
        lines = [plain(line) for line in remarks(standing, now=now)]
        if lines:
            out.print(
                Padding(Text(plain(scope_name(standing)), style="bold"), (0, 0, 0, 2), expand=False)
            )
        for line in lines:
            out.print(Padding(Text(line), (0, 0, 0, 4), expand=False))


def _table(rows: Iterable[Sequence[str]]) -> Padding:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1))
    table.add_column("model", overflow="fold")
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name == "limit" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return Padding(table, (0, 0, 0, 2), expand=False)


def _rows(standing: ScopeStanding, paused: bool) -> Iterator[list[str]]:
    name = plain(scope_name(standing))
    for each in standing.dimensions:
        yield [name, each.dimension, _configured(each), *_now(each, paused)]
        name = ""


def _configured(standing: DimensionStanding) -> str:
    if standing.configured is None:
        return ""
    return f"{amount(standing.configured)}{' live' if standing.is_live else ''}"


def _now(standing: DimensionStanding, paused: bool) -> list[str]:
    level = standing.level
    if level is None:
        return ["", "", "paused" if paused else "", ""]
    told = amount(level.told) if level.told is not None else ""
    if not level.rate_s:
        used = f"{_rough(level.level)} used"
        return [told, amount(level.limit), used, ""]
    enforced = f"~{_rough(level.limit)}" if level.probing else amount(level.limit)
    if paused:
        return [told, enforced, "paused", ""]
    return [told, enforced, f"{_rough(level.level)} of {_rough(level.depth)}", _rough(level.rate_s)]


def _rough(value: float) -> str:
    """Write a number in three digits or a little more."""
    for scale, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= scale:
            size = value / (1e3 if letter == "k" else scale)
            return f"{size:.3g}{letter}" if abs(size) < 1000 else f"{size:.0f}{letter}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
