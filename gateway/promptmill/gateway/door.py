"""Who comes in: a key, a request id, a size and a time for every request, and a line in the log.

It stands before all routes, so that nothing of a body is read before the key is known. The line
has neither query, headers nor bodies.
"""

import asyncio
import re
import time
import uuid
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from promptmill.gateway.context import Gateway
from promptmill.gateway.errors import ApiError, error_response, unavailable
from promptmill.schema.database import DatabaseError
from promptmill.schema.errors import ServiceError
from promptmill.schema.tenants import Caller
from promptmill.schema.tenants import Scope as KeyScope
from promptmill.schema.tenants import caller_of as whose

_log = structlog.get_logger(__name__)
_OPEN = frozenset({"/healthz", "/readyz", "/openapi.json"})
"""what anybody may ask: it tells nothing of tenants"""
_LOOKS = frozenset({"GET", "HEAD", "OPTIONS"})
_UPLOADS = re.compile(r"/v1/files|/v1/uploads/[^/]+/parts")
"""what may be larger than `gateway.body_bytes`: it is counted and written as it comes"""
_LEFT = 499
"""status, in the log only, of a request whose client left"""
_SCHEME = "bearer "
_DRAIN_S = 2.0
"""for what is left of the body of a request that is refused"""


class Door:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self._app, self._gateway = app, gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = _Visit(scope, receive, send, self._gateway)
        try:
            visit.caller = await self._admit(scope)
            scope.setdefault("state", {})["caller"] = visit.caller
            await self._app(scope, visit.receive, visit.send)
        except ApiError as error:
            await visit.end(error.response())
        except (ClientDisconnect, TimeoutError):
            visit.status = visit.status or _LEFT
        except (DatabaseError, ServiceError) as error:
            _log.warning("sql away", request=visit.id, error=type(error).__name__)
            await visit.end(unavailable().response())
        except Exception:  # noqa: BLE001  the outermost place there is
            # No request ends the server, and none is left without an answer.
            _log.exception("request failed", request=visit.id)
            await visit.end(error_response(500, f"The gateway failed; the log tells: {visit.id}."))
        finally:
            visit.tell()

    async def _admit(self, scope: Scope) -> Caller | None:
        """Say who comes in; None where anybody may. Raises ApiError for all others."""
        if scope["path"] in _OPEN:
            return None
        given = Headers(scope=scope).get("authorization", "")
        key = given[len(_SCHEME) :].strip() if given[: len(_SCHEME)].lower() == _SCHEME else ""
        if not key:
            msg = "Give an API key in the header Authorization: Bearer KEY."
            raise ApiError(401, msg, code="missing_api_key")
        caller = await run_in_threadpool(self._caller, key)
        if caller is None:
            msg = "The API key is not known here, or was revoked."
            raise ApiError(401, msg, code="invalid_api_key")
        if KeyScope.BATCH not in caller.scopes and scope["method"] not in _LOOKS:
            msg = "This API key may only look: ask for one of the scope `batch`."
            raise ApiError(403, msg, code="insufficient_scope")
        wait_s = await self._gateway.rates.wait_s(caller)
        if wait_s:
            msg = f"That was more than your requests a minute: come again in {wait_s:.1f} s."
            raise ApiError(429, msg, code="rate_limit_exceeded", retry_after_s=wait_s)
        return caller

    def _caller(self, key: str) -> Caller | None:
        with self._gateway.database.read() as connection:
            return whose(connection, key)


class _Visit:
    """One request, from the door to its line in the log."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, gateway: Gateway) -> None:
        self.id = f"req_{uuid.uuid4().hex}"
        self.caller: Caller | None = None
        self.status = 0
        self._scope, self._receive, self._send = scope, receive, send
        self._settings = gateway.settings.gateway
        self._began = time.monotonic()
        self._bytes_in = self._bytes_out = 0
        self._is_whole = False
        self._takes_file = bool(_UPLOADS.fullmatch(scope["path"]))

    async def receive(self) -> MutableMapping[str, Any]:
        """Take some of the body. Raises ApiError when it is too large, or too slow."""
        if self._is_whole:  # what is waited for now is the client's leaving
            return await self._receive()
        try:
            async with asyncio.timeout(self._settings.idle_s):
                message = await self._receive()
        except TimeoutError:
            msg = f"Nothing came for {self._settings.idle_s:g} s: send the body faster."
            raise ApiError(408, msg, code="body_too_slow") from None
        self._is_whole = not message.get("more_body", False)
        self._bytes_in += len(message.get("body", b""))
        if not self._takes_file and self._bytes_in > self._settings.body_bytes:
            msg = f"The body is larger than {self._settings.body_bytes:,} bytes."
            raise ApiError(413, msg, code="body_too_large")
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Send some of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message["headers"], (b"x-request-id", self.id.encode())]
            if not self._is_whole and self.status >= 400 and not await self._drained():
                headers.append((b"connection", b"close"))
            message["headers"] = headers
        self._bytes_out += len(message.get("body", b""))
        async with asyncio.timeout(self._settings.idle_s):  # for a client that reads nothing
            await self._send(message)

    async def end(self, response: Response) -> None:
        """Answer with *response*, where no other answer has begun."""
        if not self.status:
            await response(self._scope, self.receive, self.send)

    async def _drained(self) -> bool:
        """Let the rest of the body go by for a while: a client that still sends reads no answer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                while not self._is_whole:
                    message = await self._receive()
                    self._is_whole = not message.get("more_body", False)
        return self._is_whole

    def tell(self) -> None:
        """Log it."""
        _log.info(
            "request",
            request=self.id,
            method=self._scope["method"],
            path=self._scope.get("raw_path", b"").decode("latin-1")[:200],
            status=self.status or 500,
            ms=round(1000 * (time.monotonic() - self._began), 1),
            bytes_in=self._bytes_in,
            bytes_out=self._bytes_out,
            tenant=self.caller and self.caller.tenant_id,
            key=self.caller and self.caller.key_id,
        )
