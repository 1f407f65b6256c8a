"""A proxy that somebody's firm has: it asks for a name and a password, and knows all hosts."""

import asyncio
import base64
from contextlib import suppress
from typing import Self

USER = "mill:pass%20word"
"""as it stands in the proxy's address"""
_WANTED = f"Basic {base64.b64encode(b'mill:pass word').decode()}"


class Proxy:
    """Leads to one server on this machine, whatever host is asked for. Runs on the running loop."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.asked: list[str] = []
        """first lines of requests that had the right password"""
        self.refused = 0
        self.url = ""
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        self.url = f"http://{USER}@127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(lambda _: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            line, *headers = head.decode().split("\r\n")
            if f"proxy-authorization: {_WANTED}".lower() not in map(str.lower, headers):
                self.refused += 1
                writer.write(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
            else:
                self.asked.append(line)
                await self._lead(line, head, reader, writer)

    async def _lead(
        self, line: str, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        if line.startswith("CONNECT "):
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            back.write(head)
        try:
            await asyncio.gather(_carry(reader, back), _carry(there, writer))
        finally:
            back.close()


async def _carry(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await source.read(64 * 1024):
            to.write(piece)
            await to.drain()
    to.close()
