"""Which lane jobs take: pure, from what their batch was told and what the live limits can carry."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from promptmill.schema.lanes import Lane, LaneTerms


@dataclass(frozen=True, slots=True)
class Outlook:
    """One batch and model at one moment."""

    pending: int
    """jobs whose lane is to be chosen"""
    left: int
    """jobs that have not ended"""
    rate: float | None
    """jobs a second that the live limits carry; None: nobody knows"""
    rates: Sequence[float] = ()
    """the same of the cheapest part of those that are pending, of the two cheapest, and on: of as
    many equal parts as there are"""
    saves: bool = True
    """whether the batch API costs less"""
    ahead: int = 0
    """jobs of others that the same limits carry before, or beside"""
    others: int = 0
    """batches that these are of"""


def live_jobs(terms: LaneTerms, outlook: Outlook, *, window_s: float, margin_s: float) -> int:
    """Say how many of the pending jobs are to be asked live; where not all are, the cheapest.

    A provider batch may come back empty after *window_s*. So `auto` hands in what could then still
    be asked live in time, and what could not be asked live in time anyway. That are the dearest:
    so most is saved, and most rows are answered in time.
    """
    if terms.lane is Lane.LIVE or is_to_leave(terms, outlook, margin_s=margin_s):
        return outlook.pending
    if terms.lane is Lane.BATCH:
        return 0
    if not outlook.saves:
        return outlook.pending
    if terms.left_s is None or terms.left_s >= window_s + asked_live_s(outlook) + margin_s:
        return 0
    if outlook.rate is None:
        return outlook.pending
    parts = outlook.rates or (outlook.rate,)
    return max(
        min(math.ceil(outlook.pending * n / len(parts)), carried(outlook, rate * terms.left_s))
        for n, rate in enumerate(parts, 1)
    )


def carried(outlook: Outlook, jobs: float) -> int:
    """Tell how many of the *jobs* that the limits carry are its own.

    What others leave, and a fair share at least: of those that go live each has one.
    """
    return math.ceil(max(jobs - outlook.ahead, jobs / (1 + outlook.others), 0.0))


def is_to_leave(terms: LaneTerms, outlook: Outlook, *, margin_s: float) -> bool:
    """Say whether all that has not ended must be asked live now, to be answered in time.

    Where it is too late for all of it, leaving helps nobody, until the margin itself begins.
    """
    if terms.left_s is None:
        return False
    spare_s = terms.left_s - asked_live_s(outlook)
    return terms.left_s <= margin_s or 0 <= spare_s <= margin_s


def asked_live_s(outlook: Outlook) -> float:
    """Tell how long it takes to ask live what has not ended, as far as that is known.

    With what others ask before or beside it, but no longer than by a fair share.
    """
    jobs = min(outlook.left + outlook.ahead, outlook.left * (1 + outlook.others))
    return jobs / outlook.rate if outlook.rate else 0.0
