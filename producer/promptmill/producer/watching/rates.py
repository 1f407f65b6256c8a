"""How fast something moves: counts a second, of late and over all, and what is left of it."""

from collections import deque

import msgspec

_WINDOW_S = 20.0
_LEAST_S = 1.0


class _Course(msgspec.Struct):
    """What was seen of one name, as (seconds, jobs done)."""

    late: deque[tuple[float, int]] = msgspec.field(default_factory=deque)
    began: tuple[float, int] = (0.0, 0)
    moved: tuple[float, int] = (0.0, 0)


class Rates(msgspec.Struct):
    """Remembers what was counted when, by name."""

    window_s: float = _WINDOW_S
    _seen: dict[str, _Course] = msgspec.field(default_factory=dict)

    def saw(self, name: str, done: int, *, at: float) -> None:
        """Note that *done* were counted at *at*, in seconds of a monotonic clock."""
        here = (at, done)
        course = self._seen.setdefault(name, _Course(began=here, moved=here))
        if course.moved == course.began and done == course.began[1]:
            course.began = course.moved = here  # nothing has moved yet: this is no part of a rate
            course.late.clear()
        if done != course.moved[1]:
            course.moved = here
        course.late.append(here)
        while len(course.late) > 2 and at - course.late[0][0] > self.window_s:
            course.late.popleft()

    def per_second(self, name: str) -> float:
        """Tell how many a second of late; 0 while nothing is known, or too little of it."""
        course = self._seen.get(name)
        if course is None or course.late[-1][0] - course.late[0][0] < _LEAST_S:
            return 0.0
        return _slope(course.late[0], course.late[-1])

    def mean(self, name: str) -> float:
        """Tell how many a second from where it began to move to where it last moved."""
        course = self._seen.get(name)
        return _slope(course.began, course.moved) if course else 0.0

    def left_s(self, name: str, left: int) -> float | None:
        """Seconds until *left* jobs are done at this rate; None while nothing moves."""
        rate = self.per_second(name)
        return left / rate if rate > 0 else None


def _slope(begin: tuple[float, int], end: tuple[float, int]) -> float:
    return (end[1] - begin[1]) / (end[0] - begin[0]) if end[0] > begin[0] else 0.0
