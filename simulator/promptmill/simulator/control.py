"""The simulator's own paths, under /_simulator: bill, configuration, faults."""

from collections.abc import Callable
from urllib.parse import parse_qs

import msgspec
from msgspec import UNSET, UnsetType

from promptmill.simulator.config import Limits, Seconds, SimulatorConfig
from promptmill.simulator.dialects.base import encode
from promptmill.simulator.engine import Engine
from promptmill.simulator.faults import Fault
from promptmill.simulator.wire import Reply, Request

_NOTHING = Reply(204, b"", [])


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may change while a simulator runs. What is left out stays."""

    latency_s: Seconds | UnsetType = UNSET
    latency_sigma: Seconds | UnsetType = UNSET
    limits: Limits | UnsetType = UNSET
    limits_for: dict[str, Limits] | UnsetType = UNSET
    windows: dict[str, int] | UnsetType = UNSET
    keys: frozenset[str] | UnsetType = UNSET
    answer_tokens: int | UnsetType | None = UNSET
    chunk_tokens: int | UnsetType = UNSET
    chunk_interval_s: Seconds | UnsetType = UNSET
    background_s: Seconds | UnsetType = UNSET
    batch_s: Seconds | UnsetType = UNSET
    batch_tokens: int | UnsetType | None = UNSET
    limit_headers: bool | UnsetType = UNSET
    retry_after: bool | UnsetType = UNSET


def changed(config: SimulatorConfig, change: Change) -> SimulatorConfig:
    """Return *config* with *change* made."""
    fields = {
        name: value
        for name in change.__struct_fields__
        if (value := getattr(change, name)) is not UNSET
    }
    return msgspec.structs.replace(config, **fields)


class Control:
    """Answers what is said to the simulator itself."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._routes: dict[tuple[str, str], Callable[[Request], Reply]] = {
            ("GET", "/_simulator"): self._ready,
            ("GET", "/_simulator/bill"): self._bill,
            ("DELETE", "/_simulator/bill"): self._clear_bill,
            ("GET", "/_simulator/bill/summary"): self._summary,
            ("PUT", "/_simulator/config"): self._configure,
            ("POST", "/_simulator/faults"): self._add_faults,
            ("DELETE", "/_simulator/faults"): self._clear_faults,
        }

    def reply(self, request: Request) -> Reply:
        """Answer *request*: 404 for a path that nobody knows, 400 for a body that is wrong."""
        route = self._routes.get((request.head.method, request.head.path))
        if route is None:
            said = f"nothing answers {request.head.method} {request.head.path}"
            return Reply(404, encode({"error": {"message": said}}), [])
        try:
            return route(request)
        except (msgspec.DecodeError, ValueError) as error:
            return Reply(400, encode({"error": {"message": str(error)}}), [])

    def _ready(self, request: Request) -> Reply:
        del request
        return Reply(200, encode({"ready": True}), [])

    def _bill(self, request: Request) -> Reply:
        query = parse_qs(request.head.query)
        after = int(query.get("after", ["0"])[0])
        limit = int(query["limit"][0]) if "limit" in query else None
        return Reply(200, encode(list(self._engine.bill.rows(after=after, limit=limit))), [])

    def _clear_bill(self, request: Request) -> Reply:
        del request
        self._engine.bill.clear()
        return _NOTHING

    def _summary(self, request: Request) -> Reply:
        del request
        return Reply(200, encode(self._engine.bill.summary()), [])

    def _configure(self, request: Request) -> Reply:
        change = msgspec.json.decode(request.body, type=Change)
        self._engine.configure(changed(self._engine.config, change))
        return _NOTHING

    def _add_faults(self, request: Request) -> Reply:
        """Take one fault or a list of them."""
        faults = msgspec.json.decode(request.body, type=Fault | list[Fault])
        self._engine.add_faults([faults] if isinstance(faults, Fault) else faults)
        return _NOTHING

    def _clear_faults(self, request: Request) -> Reply:
        del request
        self._engine.clear_faults()
        return _NOTHING
