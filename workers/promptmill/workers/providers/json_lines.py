"""Lines of JSON out of an answer that comes in pieces."""

from collections.abc import AsyncIterator


async def lines_of(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the lines that are not empty, without their ends. JSON may hold U+2028: no end."""
    rest = b""
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
    if rest.strip():
        yield rest
