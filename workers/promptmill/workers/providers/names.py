"""Where hosts are: looked up once for all who connect within some seconds."""

import asyncio
import socket
from itertools import count
from time import monotonic
from typing import Any, Final

_KEPT_S: Final = 10.0


class Names:
    """The addresses of hosts. For one event loop."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[float, asyncio.Future[list[Any]]]] = {}
        self._turns = count()

    async def addresses(self, host: str, port: int) -> list[Any]:
        """Tell to which addresses one connects, in the order in which they are tried.

        Raises OSError for a host that nobody knows, and ValueError for what can be no host.
        """
        until, looking = self._known.get((host, port), (0.0, None))
        if looking is None or until < monotonic() or _has_failed(looking):
            looking = asyncio.ensure_future(
                asyncio.get_running_loop().getaddrinfo(
                    host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
                )
            )
            looking.add_done_callback(_has_failed)  # or the loop complains where all have left
            self._known[host, port] = (monotonic() + _KEPT_S, looking)
        return in_turn(await asyncio.shield(looking), next(self._turns))


def in_turn(addresses: list[Any], turn: int) -> list[Any]:
    """Let each who connects begin with another of *addresses*, as servers share their work by it.

    Which family comes first is the system's choice: the other may lead nowhere.
    """
    families: dict[Any, list[Any]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    return [each for same in families.values() for each in _from(same, turn % len(same))]


def _from(addresses: list[Any], first: int) -> list[Any]:
    return addresses[first:] + addresses[:first]


def _has_failed(looking: asyncio.Future[list[Any]]) -> bool:
    return looking.done() and (looking.cancelled() or looking.exception() is not None)
