"""Find hints that neither the broker nor a worker holds, as after a crash or a FLUSHALL."""

from collections.abc import Iterable

from promptmill.schema.hint import Hint


class LostHints:
    """Remembers which hints were missed. One that is missed only once may be on its way from the
    broker to a worker whose beat has not told of it yet; *patience_s* is longer than that takes.
    """

    def __init__(self, *, patience_s: float) -> None:
        self._patience_s = patience_s
        self._missed_since: dict[Hint, float] = {}

    def observe(self, now: float, missing: Iterable[Hint]) -> list[Hint]:
        """Take in the hints that nobody holds *now* (seconds); return those that are lost."""
        self._missed_since = {hint: self._missed_since.get(hint, now) for hint in missing}
        lost = [
            hint
            for hint, since in self._missed_since.items()
            if since < now and now - since >= self._patience_s
        ]
        for hint in lost:
            del self._missed_since[hint]
        return lost
