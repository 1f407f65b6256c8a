"""What was answered to looks at a batch, for a moment: many clients ask again and again.

What a client of this gateway does to a batch is seen at once all the same.
"""

from collections.abc import Callable
from time import monotonic

FRESH_S = 0.25
_MOST = 10_000

_Batch = tuple[int, str]
"""tenant, and the client's id of the batch"""


class Looks:
    """The last answers. For one thread."""

    def __init__(self) -> None:
        self._answers: dict[_Batch, tuple[float, bytes]] = {}
        self._changes = 0

    def fresh(self, batch: _Batch) -> bytes | None:
        """Return what was answered a moment ago; None: it is to be read."""
        answered_at, body = self._answers.get(batch, (0.0, b""))
        return body if body and monotonic() - answered_at < FRESH_S else None

    def begin(self) -> Callable[[_Batch, bytes], None]:
        """Begin to read; what is returned keeps the answer, if nobody changed a batch meanwhile."""
        began, changes = monotonic(), self._changes

        def keep(batch: _Batch, body: bytes) -> None:
            if changes == self._changes:
                if len(self._answers) >= _MOST:
                    self._answers.clear()
                self._answers[batch] = (began, body)

        return keep

    def forget(self, batch: _Batch) -> None:
        """Let the next look at a batch be read: it was changed."""
        self._changes += 1
        self._answers.pop(batch, None)
