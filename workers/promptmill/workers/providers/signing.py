"""Credentials that are no key: what they add to a request, made anew for each or when they end."""

from collections.abc import Mapping
from typing import Protocol


class Signer(Protocol):
    """One account's credentials, for one event loop."""

    async def headers(self, url: str, body: bytes) -> Mapping[str, str]:
        """Sign a POST of *body* to *url*. Raises NotConnectedError where that cannot be done."""
        ...


class Unsigned:
    """Where a key is in the client, or none is needed."""

    async def headers(self, url: str, body: bytes) -> Mapping[str, str]:  # noqa: ARG002
        return {}
