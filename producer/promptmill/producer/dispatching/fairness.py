"""Share free places in a queue: by priority, then fairly between batches, then by age.

All batches of a tenant are one claimant beside the others, and share what it gets.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from promptmill.schema.backlog import BatchBacklog
from promptmill.schema.broker import URGENT_STEP, step_of


@dataclass(frozen=True, slots=True)
class _Claimant:
    batch_id: int
    load: int
    """jobs queued and running"""
    wants: int


def allot(target: int, batches: Sequence[BatchBacklog]) -> dict[int, int]:
    """Say how many jobs of each batch to queue, so that the scope's queue is *target* deep.

    A higher priority goes first. What is queued of the bulk never keeps an urgent batch waiting:
    that has a depth of its own, as it has a Redis list of its own.
    """
    urgent = [batch for batch in batches if step_of(batch.priority) == URGENT_STEP]
    bulk = [batch for batch in batches if step_of(batch.priority) != URGENT_STEP]
    shares = _by_priority(target - _queued(urgent), urgent)
    shares |= _by_priority(target - _queued(batches) - sum(shares.values()), bulk)
    return shares


def _queued(batches: Sequence[BatchBacklog]) -> int:
    return sum(batch.queued for batch in batches)


def _by_priority(free: int, batches: Sequence[BatchBacklog]) -> dict[int, int]:
    shares: dict[int, int] = {}
    ordered = sorted(batches, key=lambda batch: -batch.priority)
    for _, level in groupby(ordered, key=lambda batch: batch.priority):
        shares |= _by_owner(free - sum(shares.values()), level)
    return shares


def _by_owner(free: int, batches: Iterable[BatchBacklog]) -> dict[int, int]:
    """Share between owners, then between the batches of each."""
    owned = defaultdict[int | str, list[_Claimant]](list)
    for batch in batches:
        if batch.ready:
            one = _Claimant(batch.batch_id, batch.queued + batch.running, batch.ready)
            owned[batch.batch_id if batch.owner is None else f"tenant {batch.owner}"].append(one)
    # Named after its oldest batch, which tells the older of two owners.
    owners = {min(one.batch_id for one in ones): ones for ones in owned.values()}
    together = [
        _Claimant(name, sum(one.load for one in ones), sum(one.wants for one in ones))
        for name, ones in owners.items()
    ]
    shares: dict[int, int] = {}
    for name, share in _fairly(free, together).items():
        shares |= _fairly(share, owners[name])
    return shares


def _fairly(free: int, claimants: Sequence[_Claimant]) -> dict[int, int]:
    """Fill up those with the least load to one common level; what is over goes to the smallest."""
    if free <= 0 or not claimants:
        return {}
    level = _level(free, claimants)
    shares = {one.batch_id: _up_to(level, one) for one in claimants}
    over = free - sum(shares.values())
    for one in sorted(claimants, key=lambda one: (one.load, one.wants, one.batch_id)):
        if over and one.load <= level and shares[one.batch_id] < one.wants:
            shares[one.batch_id] += 1
            over -= 1
    return {batch_id: share for batch_id, share in shares.items() if share}


def _level(free: int, claimants: Sequence[_Claimant]) -> int:
    """Find the highest load to which *free* jobs can raise everybody who wants to."""
    low, high = 0, max(one.load for one in claimants) + free
    while low < high:
        middle = (low + high + 1) // 2
        if sum(_up_to(middle, one) for one in claimants) <= free:
            low = middle
        else:
            high = middle - 1
    return low


def _up_to(level: int, one: _Claimant) -> int:
    return min(one.wants, max(0, level - one.load))
