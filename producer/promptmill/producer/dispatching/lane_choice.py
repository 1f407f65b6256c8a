"""Which lane jobs take: pure, from what their batch was told and what the live limits can carry."""

import math
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
    saves: bool = True
    """whether the batch API costs less"""
    ahead: int = 0
    """jobs of others that the same limits carry before, or beside"""
    others: int = 0
    """batches that these are of"""


def live_jobs(terms: LaneTerms, outlook: Outlook, *, window_s: float, margin_s: float) -> int:
    """Say how many of the pending jobs are to be asked live, the oldest first.

    A provider batch may come back empty after *window_s*. So `auto` hands in what could then still
    be asked live in time, and what could not be asked live in time anyway.
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
    return min(outlook.pending, carried(outlook, outlook.rate * terms.left_s))


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
    """Tell how long it takes to ask live what has not ended, as far as that is known."""
    return outlook.left / outlook.rate if outlook.rate else 0.0
