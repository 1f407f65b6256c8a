"""Takes batches in and gives them out: finds whose API a request is meant for."""

from typing import NamedTuple

from promptmill.simulator.batches.anthropic import AnthropicBatches
from promptmill.simulator.batches.api import BatchApi, Route
from promptmill.simulator.batches.gemini import GeminiBatches
from promptmill.simulator.batches.openai import OpenAIBatches
from promptmill.simulator.engine import Engine
from promptmill.simulator.faults import Accident, Trouble
from promptmill.simulator.wire import Reply, Request


class Said(NamedTuple):
    """An answer of a batch API."""

    reply: Reply
    is_lost: bool = False
    """what was asked is done, and the connection breaks before anybody is told"""


class Desk:
    """All batch APIs over one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._apis: tuple[BatchApi, ...] = (
            OpenAIBatches(engine),
            AnthropicBatches(engine),
            GeminiBatches(engine),
        )

    def reply(self, request: Request) -> Said | None:
        """Answer *request*, or None where it is for no batch API.

        A fault whose model is what is asked for (`batches.create`) befalls it: an error comes in
        place of what was asked, and an accident after it was done.
        """
        for api in self._apis:
            route = api.route(request)
            if route is not None:
                return self._answer(api, route, request)
        return None

    def _answer(self, api: BatchApi, route: Route, request: Request) -> Said:
        key = api.dialect.key(request)
        if (trouble := self._engine.key_trouble(key)) is not None:
            return Said(api.dialect.refuse(self._engine.context_of_none(), trouble))
        fault = self._engine.fault_of(api.dialect.provider, route.name)
        if fault is None:
            return Said(route.do())
        if isinstance(fault.what, Trouble):
            return Said(api.dialect.refuse(self._engine.context_of_none(), fault.what))
        if fault.what is Accident.RAW:
            return Said(Reply(fault.status, fault.body.encode(), [], fault.content_type))
        return Said(route.do(), is_lost=True)
