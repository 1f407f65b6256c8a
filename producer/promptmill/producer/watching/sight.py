"""What one sees of a batch at work: how far, how fast against which limits, and what is new."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase

import msgspec

from promptmill.producer.limits.memory import Account
from promptmill.producer.limits.standing import ScopeStanding
from promptmill.producer.watching.news import News, Newsroom
from promptmill.producer.watching.progress import ALL, Progress, Tally
from promptmill.producer.watching.rates import Rates
from promptmill.schema.live_limits import ACCOUNT, EVERY_MODEL

_USED_S = 600.0
"""a key that was used so lately counts"""


class Pace(msgspec.Struct, frozen=True):
    """How fast a provider goes, of late; once all is done, over the whole time."""

    per_second: float
    """prompts that ended"""
    requests_a_minute: float
    tokens_a_minute: float


class Ceiling(msgspec.Struct, frozen=True):
    """What holds for the models of one provider together, a minute. None: no limit is known."""

    rpm: float | None = None
    tpm: float | None = None


class Sight(msgspec.Struct, frozen=True):
    """A batch at one moment."""

    at: datetime
    monotonic: float
    """the same moment, in seconds of a clock that nobody sets"""
    progress: Progress
    paces: Mapping[str, Pace]
    """by provider, and ALL"""
    ceilings: Mapping[str, Ceiling]
    left_s: float | None
    """at the pace of late; None while nothing moves, where somebody has to act, or all is done"""
    news: tuple[News, ...]
    """what came up since the last look"""

    def pace(self, name: str) -> Pace:
        """Tell the pace of a provider, or of ALL."""
        return self.paces.get(name, Pace(0.0, 0.0, 0.0))


class Watcher:
    """Makes sights out of what is read one time after the other."""

    def __init__(self) -> None:
        self._rates, self._newsroom = Rates(), Newsroom()

    def look(
        self,
        progress: Progress,
        standings: Sequence[ScopeStanding],
        *,
        monotonic: float,
        now: datetime,
    ) -> Sight:
        """Tell what is to be seen; *standings* are empty where limits are not known."""
        tallies = (*progress.providers, progress.overall)
        for tally in tallies:
            for what, count in _counts(tally).items():
                self._rates.saw(f"{tally.name} {what}", count, at=monotonic)
        left = progress.overall.total - progress.overall.ended
        is_still = progress.finished or progress.held
        known = relevant(standings, progress)
        return Sight(
            at=now,
            monotonic=monotonic,
            progress=progress,
            paces={tally.name: self._pace(tally.name, progress) for tally in tallies},
            ceilings={
                tally.name: _ceiling(
                    [each for each in known if each.account.provider == tally.name]
                )
                for tally in progress.providers
            },
            left_s=None if is_still else self._rates.left_s(f"{ALL} ended", left),
            news=self._newsroom.saw(progress, known, now=now),
        )

    def _pace(self, name: str, progress: Progress) -> Pace:
        of_late = self._rates.mean if progress.finished else self._rates.per_second
        return Pace(
            of_late(f"{name} ended"), 60 * of_late(f"{name} calls"), 60 * of_late(f"{name} tokens")
        )


def _counts(tally: Tally) -> dict[str, int]:
    tokens = tally.input_tokens + tally.output_tokens
    return {"ended": tally.ended, "calls": tally.calls, "tokens": tokens}


def relevant(standings: Sequence[ScopeStanding], progress: Progress) -> list[ScopeStanding]:
    """Pick those that hold for the models of this batch: of accounts, models and families."""
    found: dict[tuple[Account, str], ScopeStanding] = {}
    for scope in progress.models:
        own = [each for each in standings if each.account.provider == scope.provider]
        for account in {each.account for each in own}:
            by_name = {each.name: each for each in own if each.account == account}
            for name in {ACCOUNT, _section(scope.model, by_name)} & set(by_name):
                found[account, name] = by_name[name]
    return [found[key] for key in sorted(found)]


def _section(model: str, names: Collection[str]) -> str:
    """Name the section that has the limits of *model*, as `ceilings.section_of` does."""
    matching = [name for name in names if name != ACCOUNT and fnmatchcase(model, name)]
    return model if model in names else max(matching, key=len, default=EVERY_MODEL)


def _ceiling(standings: Sequence[ScopeStanding]) -> Ceiling:
    """Add up the limits of the keys in use; of one key, those of its sections or its account's."""
    in_use = {one.account for one in standings if one.idle_s is not None and one.idle_s < _USED_S}
    accounts = in_use or {one.account for one in standings[:1]}
    by_account = [[one for one in standings if one.account == each] for each in sorted(accounts)]
    return Ceiling(
        rpm=_sum([_of_account(own, "rpm") for own in by_account]),
        tpm=_sum([_of_account(own, "tpm") for own in by_account]),
    )


def _of_account(standings: Sequence[ScopeStanding], dimension: str) -> float | None:
    shared = [_limit(one, dimension) for one in standings if one.name == ACCOUNT]
    own = [_limit(one, dimension) for one in standings if one.name != ACCOUNT]
    return min((each for each in (*shared, _sum(own)) if each is not None), default=None)


def _limit(standing: ScopeStanding, dimension: str) -> float | None:
    for each in standing.dimensions:
        if each.dimension == dimension:
            if each.level is not None and not each.level.probing:
                return each.level.limit
            return each.configured
    return None


def _sum(limits: Sequence[float | None]) -> float | None:
    known = [each for each in limits if each is not None]
    return sum(known) if known and len(known) == len(limits) else None
