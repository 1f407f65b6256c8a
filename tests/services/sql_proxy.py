"""A line between PostgreSQL and its clients that can be cut, held, or cut in mid commit."""

import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType
from typing import Self

_SOCKET = ".s.PGSQL.5432"
_PIECE = 1 << 16


class SqlProxy:
    """Listens in *folder*, where the server's URL is to point, for the server in *upstream*."""

    def __init__(self, folder: Path, upstream: Path) -> None:
        self._path, self._upstream = folder / _SOCKET, str(upstream / _SOCKET)
        self._changed = Condition()
        self._lines: list[_Line] = []
        self._refuses = False
        self.commits_to_cut = 0
        """commits yet to be done by the server and not told to the client"""

    def cut(self) -> None:
        """Close every connection."""
        with self._changed:
            lines, self._lines = self._lines, []
        for line in lines:
            line.close()

    def refuse(self) -> None:
        """Close every connection, and each new one at once."""
        self._refuses = True
        self.cut()

    def heal(self) -> None:
        """Take new connections again."""
        self._refuses = False

    def hang(self) -> None:
        """Carry nothing more over the connections there are, and close none; new ones are good."""
        with self._changed:
            for line in self._lines:
                line.hangs = True

    def takes_commit(self) -> bool:
        """Tell whether this commit's answer is to be lost; count it."""
        with self._changed:
            if not self.commits_to_cut:
                return False
            self.commits_to_cut -= 1
            return True

    def __enter__(self) -> Self:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(64)
        Thread(target=self._accept, name="sql-proxy", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._path.unlink()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refuses:
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._upstream)
            line = _Line(client, server, self.takes_commit)
            with self._changed:
                self._lines.append(line)
            line.start()


class _Line:
    """One connection: two threads that carry bytes."""

    def __init__(
        self, client: socket.socket, server: socket.socket, takes_commit: Callable[[], bool]
    ) -> None:
        self._client, self._server, self._takes_commit = client, server, takes_commit
        self.hangs = False
        self._loses_answer = False

    def start(self) -> None:
        for carry in (self._to_server, self._to_client):
            Thread(target=self._carry, args=(carry,), daemon=True).start()

    def close(self) -> None:
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _carry(self, carry: Callable[[], None]) -> None:
        with suppress(OSError):
            carry()
        if not self.hangs:
            self.close()

    def _to_server(self) -> None:
        while data := self._client.recv(_PIECE):
            if self.hangs:
                return
            if b"COMMIT" in data and self._takes_commit():
                self._loses_answer = True
            self._server.sendall(data)

    def _to_client(self) -> None:
        while data := self._server.recv(_PIECE):
            if self.hangs or self._loses_answer:
                return
            self._client.sendall(data)
