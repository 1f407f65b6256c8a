"""Server-sent events out of bytes, in whatever pieces they come.

As https://html.spec.whatwg.org/multipage/server-sent-events.html has it, except for names: the
dialects that are read here say in the data itself what an event is.
"""

from typing import Final

_BOM: Final = b"\xef\xbb\xbf"
_NO_DATA: Final = (b":", b"event:", b"id:", b"retry:")


class Events:
    """The events of one stream."""

    def __init__(self) -> None:
        self._rest = bytearray()
        """of a line whose end has not come"""
        self._data: list[bytes] = []
        """lines of an event whose end has not come"""
        self._has_begun = False
        self.stray: list[bytes] = []
        """lines that are of no event: Google's servers may break off with bare JSON"""

    def feed(self, piece: bytes) -> list[bytes]:
        """Take the next bytes; return the data of the events that are whole now."""
        # An end of the piece in \r may be half of \r\n.
        end = max(piece.rfind(b"\n"), piece.rfind(b"\r", 0, -1)) + 1
        if not end and not self._rest.endswith(b"\r"):
            self._rest += piece
            return []
        known = bytes(self._rest) + piece
        end += len(self._rest)
        if not self._has_begun:
            self._has_begun = True
            known, end = _without_bom(known, end)
        self._rest = bytearray(known[end:])
        return self._events(known[:end].splitlines())

    def finish(self) -> list[bytes]:
        """Take the end of the stream for the end of its last event; return that one's data."""
        last = bytes(self._rest).splitlines()
        self._rest.clear()
        return self._events([*last, b""])

    def _events(self, lines: list[bytes]) -> list[bytes]:
        events: list[bytes] = []
        data = self._data
        for line in lines:
            if line.startswith(b"data:"):
                data.append(line[6:] if line.startswith(b"data: ") else line[5:])
            elif not line:
                if data:
                    events.append(data[0] if len(data) == 1 else b"\n".join(data))
                    data.clear()
            elif not line.startswith(_NO_DATA):
                self.stray.append(line)
        return events


def _without_bom(known: bytes, end: int) -> tuple[bytes, int]:
    if not known.startswith(_BOM):
        return known, end
    return known[len(_BOM) :], end - len(_BOM)
