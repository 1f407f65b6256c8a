"""The four adapters under the one contract, and where each reaches the simulator."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from itertools import count
from typing import Any

from promptmill.schema.secret import Secret
from promptmill.schema.settings import ProviderKind, ProviderSettings
from promptmill.simulator import Row, Simulator
from promptmill.workers.providers.base import Answer, Call, Provider, Refusal
from promptmill.workers.providers.lean import LeanClient
from promptmill.workers.providers.registry import make_provider

CANARY = "sk-canary-0123456789abcdef"
PROMPT = "Zanzibar quokkas juggle seventeen marmalade trombones at dusk"
PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Dialect:
    """One adapter: its settings, and the part of the simulator that speaks with it."""

    name: str
    kind: ProviderKind
    sdk: str = "google-genai"

    def settings(self, base_url: str) -> ProviderSettings:
        return ProviderSettings.model_validate(
            {
                "kind": self.kind,
                "base_url": base_url,
                "api_key": Secret(CANARY),
                "sdk": self.sdk,
                "concurrency": 8,
            }
        )

    def url_of(self, simulator: Simulator) -> str:
        return simulator.openai_url if self.kind is ProviderKind.OPENAI else simulator.url


DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect("openai", ProviderKind.OPENAI),
        Dialect("anthropic", ProviderKind.ANTHROPIC),
        Dialect("gemini", ProviderKind.GEMINI),
        Dialect("gemini-legacy", ProviderKind.GEMINI, "google-generativeai"),
    )
}


class Harness:
    """One event loop, one shared client and one simulator; every call with a prompt of its own."""

    def __init__(
        self,
        simulator: Simulator,
        run: Callable[[Coroutine[Any, Any, Any]], Any],
        http: LeanClient,
    ) -> None:
        self.simulator = simulator
        self.run = run
        self.http = http
        self._providers: dict[tuple[str, str], Provider] = {}
        self._serial = count(1)

    def provider(self, name: str, base_url: str | None = None) -> Provider:
        """Return the adapter *name*, or of `name:endpoint`; the same for the same address."""
        name = name.partition(":")[0]
        dialect = DIALECTS[name]
        url = base_url or dialect.url_of(self.simulator)
        if (name, url) not in self._providers:
            self._providers[name, url] = make_provider(name, dialect.settings(url), self.http)
        return self._providers[name, url]

    def call(self, *, timeout_s: float = PATIENCE_S, model: str = "gpt-4o", **body: Any) -> Call:
        """Make a call whose prompt and request id nobody else has."""
        number = next(self._serial)
        messages = [{"role": "user", "content": f"{PROMPT} (no. {number})"}]
        return Call(
            model=model,
            body={"messages": messages, "max_tokens": 64} | body,
            request_id=f"j{number}-f1",
            timeout_s=timeout_s,
        )

    def complete(
        self, name: str, call: Call | None = None, *, fault: str | None = None, **conditions: Any
    ) -> Answer | Refusal:
        """Complete *call* with the adapter *name*; *fault* hits this call and no other."""
        call = call or self.call()
        if fault is not None:
            text = call.body["messages"][-1]["content"]
            self.simulator.add_fault(fault, contains=text, **conditions)
        return self.run(self.provider(name).complete(call))  # type: ignore[no-any-return]

    def refusal(self, name: str, call: Call | None = None, **fault: Any) -> Refusal:
        """Complete a call that must be refused."""
        outcome = self.complete(name, call, **fault)
        assert isinstance(outcome, Refusal)
        return outcome

    def answer(self, name: str, call: Call | None = None, **fault: Any) -> Answer:
        """Complete a call that must be answered."""
        outcome = self.complete(name, call, **fault)
        assert isinstance(outcome, Answer), outcome
        return outcome

    def rows(self, call: Call) -> list[Row]:
        """Return what the simulator's bill has of *call*."""
        return [row for row in self.simulator.bill() if row.client_request_id == call.request_id]

    async def close(self) -> None:
        """Close the adapters, then the client they share."""
        await asyncio.gather(*(provider.close() for provider in self._providers.values()))
        await self.http.aclose()
