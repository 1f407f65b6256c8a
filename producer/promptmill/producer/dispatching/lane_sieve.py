"""Sorts the rows of a batch of which not all can be asked live: the dearest go into the lane."""

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from promptmill.producer.dispatching.lane_load import Sample, Scales
from promptmill.schema.backlog import Scope

ENOUGH = 0.9
"""Of the rows that were left to be asked live: while so many can be, they are not sorted again."""


@dataclass(slots=True)
class Sieve:
    """Goes through the pending rows of a batch and model once, by their ids."""

    batch_id: int
    scope: Scope
    scales: Scales
    most: float
    """what a row may cost that is asked live"""
    ties: int
    """of the rows that cost just that, so many are not"""
    excess: int
    """rows that cannot be asked live"""
    after: int = 0
    """the last id that was looked at"""
    is_done: bool = False

    def dear(self, rows: Iterable[tuple[int, str]]) -> list[int]:
        """Choose those of the next rows, (id, request), that go into the lane."""
        found = []
        for job_id, body in rows:
            self.after = job_id
            if self.excess and self._is_dear(self.scales.cost(msgspec.json.decode(body))):
                self.excess -= 1
                found.append(job_id)
        return found

    def _is_dear(self, cost: float) -> bool:
        if cost == self.most and self.ties:
            self.ties -= 1
            return True
        return cost > self.most


def make_sieve(batch_id: int, scope: Scope, sample: Sample, *, pending: int, live: int) -> Sieve:
    """Make one that leaves *live* of the *pending* rows, as far as these are like the sample.

    It is done at once where all cost the same.
    """
    excess, costs = pending - live, sample.costs
    if not costs or costs[0] == costs[-1]:
        return Sieve(batch_id, scope, sample.scales, math.inf, 0, excess, is_done=True)
    most = costs[math.ceil(live / pending * len(costs)) - 1]
    dearer = math.ceil(pending * (1 - bisect_right(costs, most) / len(costs)))
    return Sieve(batch_id, scope, sample.scales, most, max(0, excess - dearer), excess)
