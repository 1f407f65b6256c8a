"""Clients that look at a batch again and again: a process of its own, for what they feel.

    python clients.py URL KEY CLIENTS SECONDS

Each looks once a second, on a connection of its own. Writes the seconds that each look took, as a
JSON array.
"""

import asyncio
import json
import sys
from time import monotonic

import httpx2

_EACH_S = 1.0


async def looks(url: str, key: str, clients: int, seconds: float) -> list[float]:
    """Return how long each look took."""
    until = monotonic() + seconds
    waits = list[float]()
    limits = httpx2.Limits(max_connections=clients, max_keepalive_connections=clients)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(headers=headers, limits=limits, timeout=60) as http:

        async def look(number: int) -> None:
            await asyncio.sleep(_EACH_S * number / clients)
            while (began := monotonic()) < until:
                answer = await http.get(url)
                answer.raise_for_status()
                took = monotonic() - began
                waits.append(took)
                await asyncio.sleep(max(0.0, _EACH_S - took))

        await asyncio.gather(*(look(number) for number in range(clients)))
    return waits


def main() -> None:
    """Look, and write what it took."""
    url, key, clients, seconds = sys.argv[1:]
    waits = asyncio.run(looks(url, key, int(clients), float(seconds)))
    sys.stdout.write(json.dumps(waits))


if __name__ == "__main__":
    main()
