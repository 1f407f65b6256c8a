"""What is worth telling while a batch runs: refusals, pauses and their ends, in words."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from math import isinf

import msgspec

from promptmill.producer.advice import how_to_resume
from promptmill.producer.figures import duration
from promptmill.producer.limits.standing import ScopeStanding
from promptmill.producer.watching.progress import Progress
from promptmill.schema.live_limits import ACCOUNT
from promptmill.schema.pauses import Pause
from promptmill.schema.states import BatchState

_LONGEST_REASON = 120
_KIND = re.compile(r"^(rate|overloaded) (?=\d{3}\b)")
"""before a status that says as much"""
_REFUSALS_EVERY_S = 5.0
"""of one provider are told together"""


class NewsKind(StrEnum):
    """What a piece of news is about."""

    REFUSED = "refused"
    """429s and 503s since the last of this kind"""
    HELD = "held"
    """the shared limiter lets nothing through for a time: a 429, or a busy provider"""
    PAUSED = "paused"
    """until somebody acts, or for long: told in SQL"""
    RESUMED = "resumed"


class News(msgspec.Struct, frozen=True):
    """Something that came up."""

    at: datetime
    kind: NewsKind
    provider: str
    """empty: the batch itself"""
    text: str


class _Told(msgspec.Struct):
    """What was told of one provider's refusals."""

    count: int
    at: datetime | None = None


class Newsroom:
    """Remembers what it has told."""

    def __init__(self) -> None:
        self._holds: Mapping[tuple[str, str], ScopeStanding] = {}
        self._pauses: Mapping[tuple[str, str, str], Pause] = {}
        self._refusals: dict[str, _Told] = {}
        self._is_paused = False

    def saw(
        self, progress: Progress, standings: Sequence[ScopeStanding], *, now: datetime
    ) -> tuple[News, ...]:
        """Tell what is new since the last call."""
        return (
            *self._of_batch(progress, now),
            *self._of_pauses(progress, now),
            *self._of_holds(standings, now),
            *self._of_refusals(progress, now),
        )

    def _of_batch(self, progress: Progress, now: datetime) -> Iterator[News]:
        batch = progress.batch
        is_paused = batch.state == BatchState.PAUSED
        if is_paused and not self._is_paused:
            text = f"batch {batch.id} paused: {batch.paused_reason}"
            yield News(now, NewsKind.PAUSED, "", text)
        if self._is_paused and batch.state == BatchState.OPEN:
            yield News(now, NewsKind.RESUMED, "", f"batch {batch.id} goes on")
        self._is_paused = is_paused

    def _of_pauses(self, progress: Progress, now: datetime) -> Iterator[News]:
        pauses = {(one.provider, one.model, one.fingerprint): one for one in progress.pauses}
        for key, pause in pauses.items():
            if key not in self._pauses:
                yield News(now, NewsKind.PAUSED, pause.provider, pause_text(pause, now=now))
        for key, pause in self._pauses.items():
            if key not in pauses:
                text = f"{_where(pause.provider, pause.model)} goes on"
                yield News(now, NewsKind.RESUMED, pause.provider, text)
        self._pauses = pauses

    def _of_holds(self, standings: Sequence[ScopeStanding], now: datetime) -> Iterator[News]:
        holds = {
            (one.account.provider, one.name): one
            for one in standings
            if one.level is not None and one.level.paused_s > 0 and not isinf(one.paused_s(now))
        }
        for key, one in holds.items():
            if key not in self._holds and one.level is not None:
                why = _short(_KIND.sub("", one.level.paused_why)) or "refused"
                text = f"{_scope(one)}: {why}; every worker holds for {_soon(one.level.paused_s)}"
                yield News(now, NewsKind.HELD, key[0], text)
                if told := self._refusals.get(key[0]):
                    told.at = now  # the refusal behind this has been told
        seen = {(one.account.provider, one.name): one for one in standings}
        for key, one in self._holds.items():
            if key not in holds and key in seen:
                yield News(now, NewsKind.RESUMED, key[0], f"{_scope(one)} goes on{_cut(seen[key])}")
        if standings:  # else Redis is away, and nothing is known of them
            self._holds = holds

    def _of_refusals(self, progress: Progress, now: datetime) -> Iterator[News]:
        for tally in progress.providers:
            told = self._refusals.setdefault(tally.name, _Told(tally.refusals))
            new = tally.refusals - told.count
            early = told.at and (now - told.at).total_seconds() < _REFUSALS_EVERY_S
            if new > 0 and (not early or progress.finished):
                calls = "a call" if new == 1 else f"{new:,} calls"
                text = f"{tally.name} refused {calls} (429, 503)"
                yield News(now, NewsKind.REFUSED, tally.name, text)
                self._refusals[tally.name] = _Told(tally.refusals, now)


def pause_text(pause: Pause, *, now: datetime) -> str:
    """Name a pause, its reason, and what ends it."""
    if pause.until_at is not None:
        left_s = max(0.0, (pause.until_at - now).total_seconds())
        return f"{pause_reason(pause)}; goes on in {duration(left_s)}"
    return f"{pause_reason(pause)}. To go on: {how_to_resume(pause)}"


def pause_reason(pause: Pause) -> str:
    """Name what is paused, and why."""
    return f"{_where(pause.provider, pause.model)} paused: {_short(pause.reason)}"


def _scope(standing: ScopeStanding) -> str:
    return _where(standing.account.provider, "" if standing.name == ACCOUNT else standing.name)


def _cut(standing: ScopeStanding) -> str:
    level = standing.level
    return f", at {level.multiplier:.0%} of its limits" if level and level.multiplier < 1 else ""


def _where(provider: str, model: str) -> str:
    return f"{provider} {model}".strip()


def _short(reason: str) -> str:
    flat = " ".join(reason.split())
    return flat if len(flat) <= _LONGEST_REASON else flat[: _LONGEST_REASON - 1] + "…"


def _soon(seconds: float) -> str:
    return duration(max(1.0, seconds))
