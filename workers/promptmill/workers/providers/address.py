"""Where a request goes, and with which headers: asked of an SDK once, since each call has the same.

The SDKs of OpenAI and Anthropic build options, headers and address anew for each call, by code that
serves every endpoint: as much CPU as all the rest of a request. They are of one make, so what they
would send is asked of both in one way. Tests hold it to what their public calls send.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from promptmill.workers.providers.http import Lost
from promptmill.workers.providers.lean import LeanClient
from promptmill.workers.providers.reply import Reply
from promptmill.workers.providers.streaming import Stream

_OF_EACH: Final = frozenset({"host", "content-length", "accept-encoding"})
"""headers that the transport adds to each request by itself"""


@dataclass(frozen=True, slots=True)
class Address:
    """Where requests of one kind go."""

    url: str
    headers: Mapping[str, str]
    """with the key: never log them"""


def address_by(sdk: Any, options: Any) -> Address:
    """Let *sdk* say where and with which headers it would send a request with *options*."""
    request: httpx2.Request = sdk._build_request(options)  # noqa: SLF001
    given = {name: value for name, value in request.headers.multi_items() if name not in _OF_EACH}
    return Address(str(request.url), given)


async def post(
    http: LeanClient,
    address: Address,
    body: bytes,
    headers: Mapping[str, str],
    stream: Stream | None,
) -> Reply | Lost:
    """Send *body* with the headers of its address and its own *headers*; redirects are answers.

    An answer that may come in pieces is read by *stream*.
    """
    given = {**address.headers, **headers}
    if stream is None:
        answer = await http.post_bytes(address.url, given, body)
        return Reply(answer.status_code, answer.headers, answer.content)
    request = http.build_request("POST", address.url, headers=given, content=body)
    return await stream.read(await http.send(request, stream=True))
