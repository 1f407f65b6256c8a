"""Who hears an answer while it comes: a client of the gateway that waits for its words."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

Piece = Mapping[str, Any]
"""What is new of an answer: of a chat a chunk in OpenAI's words, elsewhere the endpoint's event."""


class Listener:
    """Hears the pieces of one answer until it leaves. For one thread."""

    def __init__(self, take: Callable[[Piece], object]) -> None:
        """*take* is given each piece; it never blocks, and never raises."""
        self.has_heard = self.has_left = False
        self._take = take
        self._end: Callable[[], object] | None = None

    def hear(self, piece: Piece) -> None:
        """Take what came next."""
        self.has_heard = True
        self._take(piece)

    def leave(self) -> None:
        """Hear no more: a call that is open is ended, and what came of it is known."""
        self.has_left = True
        if self._end is not None:
            self._end()

    @contextmanager
    def listening(self, end: Callable[[], object]) -> Iterator[None]:
        """Call *end* should nobody listen any more before the end of the block."""
        self._end = end
        if self.has_left:
            end()
        try:
            yield
        finally:
            self._end = None
