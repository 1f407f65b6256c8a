"""Deal the jobs of a pool to its members: by weight, among those that can start them. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Hand:
    """A member that could be dealt to."""

    member: str
    weight: float
    """beside those of the others; 0: only where no other can"""
    room: int
    """how many jobs its queue takes"""
    is_booked_out: bool = False
    """its limits let nothing more start at once, so it holds up nobody"""


class Dealer:
    """Deals the jobs of one pool and model, and remembers who has had how many."""

    def __init__(self) -> None:
        self._had: dict[str, Fraction] = {}
        """by member: jobs over weight"""

    def deal(self, jobs: int, hands: Sequence[Hand]) -> dict[str, int]:
        """Say how many of *jobs* each member gets.

        Those in turn get theirs strictly by weight, so that one whose queue is full makes the
        others wait: it will start what it has. What they leave is for those that are booked out,
        which take what they have room for. One that comes back makes nothing up.
        """
        in_turn = _in_turn(hands)
        self._had = self._had_by(in_turn)
        dealt = _by_turns(jobs, in_turn, self._had, strictly=True)
        others = [hand for hand in hands if hand.is_booked_out]
        if in_turn:
            others = [hand for hand in others if hand.weight]
        had = dict.fromkeys((hand.member for hand in others), Fraction(0))
        return dealt | _by_turns(jobs - sum(dealt.values()), others, had, strictly=False)

    def taken_in_turn(self, jobs: int, hands: Sequence[Hand]) -> int:
        """Say how many of *jobs* would go to those in turn, if they were dealt now."""
        in_turn = _in_turn(hands)
        return sum(_by_turns(jobs, in_turn, self._had_by(in_turn), strictly=True).values())

    def _had_by(self, hands: Iterable[Hand]) -> dict[str, Fraction]:
        names = {hand.member for hand in hands}
        known = [had for member, had in self._had.items() if member in names]
        least = min(known, default=Fraction(0))
        return {name: self._had.get(name, least) - least for name in names}


def _in_turn(hands: Iterable[Hand]) -> list[Hand]:
    able = [hand for hand in hands if not hand.is_booked_out]
    return [hand for hand in able if hand.weight] or able


def _by_turns(
    jobs: int, hands: Iterable[Hand], had: dict[str, Fraction], *, strictly: bool
) -> dict[str, int]:
    """Give one job after the other to whom it brings the least; *had* is raised."""
    free = {hand.member: hand.room for hand in hands}
    steps = {hand.member: 1 / Fraction(hand.weight or 1.0) for hand in hands}
    dealt: dict[str, int] = {}
    while jobs and free:
        member = min(free, key=lambda name: (had[name] + steps[name], name))
        if free[member] <= 0:
            if strictly:
                break
            del free[member]
            continue
        free[member] -= 1
        had[member] += steps[member]
        dealt[member] = dealt.get(member, 0) + 1
        jobs -= 1
    return dealt
