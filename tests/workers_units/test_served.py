"""The scope that a worker books in, by settings and live limits."""

import asyncio
from typing import Any

from promptmill.schema.secret import Secret
from promptmill.schema.settings import ProviderSettings
from promptmill.workers.limits.limit import Charging, Dimension, Scope
from promptmill.workers.providers.http import open_http
from promptmill.workers.served import Served, serve

KEY = Secret("sk-test")


def served(**changes: Any) -> Served:
    settings = ProviderSettings.model_validate({"kind": "openai", "api_key": KEY, **changes})

    async def build() -> Served:
        http = open_http(concurrency=1)
        try:
            return serve("mine", settings, http)
        finally:
            await http.aclose()

    return asyncio.run(build())


FULL = {
    "concurrency": 30,
    "day_starts": "Europe/Berlin",
    "limits": {"tokens": "usage", "cached_input": "free"},
    "account": {"tpd": "5M", "rpm": 500},
    "models": {"gpt-5*": {"tpm": "1M", "rpm": 60, "burst_s": 1.5}},
}


def test_a_scope_has_all_that_settings_say_of_its_model() -> None:
    assert served(**FULL).scope("gpt-5-mini") == Scope(
        provider="mine",
        model="gpt-5-mini",
        account=KEY.fingerprint,
        limits=((Dimension.RPM, 60), (Dimension.TPM, 1e6)),
        concurrency=30,
        shared=((Dimension.RPM, 500), (Dimension.TPD, 5e6)),
        pool="gpt-5*",
        burst_s=1.5,
        charging=Charging(tokens="usage", cached_input="free"),
        day_starts="Europe/Berlin",
    )


def test_a_scope_of_which_nothing_is_set_has_no_limits() -> None:
    assert served().scope("gpt-4o") == Scope(
        provider="mine", model="gpt-4o", account=KEY.fingerprint, limits=(), concurrency=100
    )


def test_live_limits_make_another_scope_and_leave_the_first_as_it_was() -> None:
    before = served(**FULL)
    after = before.with_live({("gpt-5*", "rpm"): 5.0, ("*", "rpm"): 50.0, ("", "concurrency"): 2.0})
    scope = after.scope("gpt-5-mini")
    assert scope.limits == ((Dimension.RPM, 5), (Dimension.TPM, 1e6))
    assert scope.shared == ((Dimension.RPM, 50), (Dimension.TPD, 5e6))
    assert (scope.concurrency, scope.pool) == (2, "gpt-5*")
    assert before.scope("gpt-5-mini").concurrency == 30
    assert after.with_live({}).scope("gpt-5-mini") == before.scope("gpt-5-mini")


def test_a_day_of_gemini_starts_at_midnight_pacific() -> None:
    settings = ProviderSettings.model_validate({"kind": "gemini"})
    gemini = Served("gemini", settings.kind, "", served().adapter, settings)
    assert gemini.scope("gemini-2.5-flash").day_starts == "America/Los_Angeles"
