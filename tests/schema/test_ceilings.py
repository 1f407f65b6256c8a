"""Which limits hold for a model, by settings and by what is set live."""

from typing import Any

import pytest

from promptmill.schema.ceilings import limits_of, section_of
from promptmill.schema.live_limits import ACCOUNT, EVERY_MODEL, NONE_LIVE, LiveCeilings
from promptmill.schema.provider_settings import ProviderSettings


def provider(**changes: Any) -> ProviderSettings:
    return ProviderSettings.model_validate({"kind": "anthropic", **changes})


CLAUDE = provider(
    limits={"rpm": 50, "itpm": "30k", "tokens": "usage", "burst_s": 2},
    account={"rpm": 900},
    models={
        "claude-opus-4*": {"rpm": 1000, "itpm": "2M"},
        "claude-opus-4-5*": {"rpm": 70},
        "claude-opus-4-1": {"rpm": 60, "burst_s": 0, "tokens": "input", "cached_input": "counts"},
    },
)


@pytest.mark.parametrize(
    ("model", "section"),
    [
        ("claude-opus-4-1", "claude-opus-4-1"),
        ("claude-opus-4-1-20250805", "claude-opus-4*"),
        ("claude-opus-4-5-20251101", "claude-opus-4-5*"),
        ("claude-haiku", "claude-haiku"),
        ("CLAUDE-OPUS-4", "CLAUDE-OPUS-4"),
        ("my-claude-opus-4", "my-claude-opus-4"),
    ],
)
def test_an_exact_name_comes_first_and_then_the_longest_pattern(model: str, section: str) -> None:
    assert section_of(CLAUDE, model, NONE_LIVE) == section


def test_models_of_a_family_share_its_limits_and_take_the_rest_from_the_provider() -> None:
    family = limits_of(CLAUDE, "claude-opus-4-2", NONE_LIVE)
    assert family == limits_of(CLAUDE, "claude-opus-4-3", NONE_LIVE)
    assert family.pool == "claude-opus-4*"
    assert family.limits == {"rpm": 1000, "itpm": 2e6}
    assert (family.tokens, family.cached_input, family.burst_s) == ("usage", None, 2)
    longer = limits_of(CLAUDE, "claude-opus-4-5-20251101", NONE_LIVE)
    assert (longer.pool, longer.limits) == ("claude-opus-4-5*", {"rpm": 70, "itpm": 30_000})


def test_a_model_of_its_own_shares_nothing_but_the_account() -> None:
    alone = limits_of(CLAUDE, "claude-opus-4-1", NONE_LIVE)
    assert (alone.pool, alone.limits) == ("", {"rpm": 60, "itpm": 30_000})
    assert (alone.tokens, alone.cached_input, alone.burst_s) == ("input", "counts", 0)
    assert alone.shared == limits_of(CLAUDE, "claude-haiku", NONE_LIVE).shared == {"rpm": 900}


def test_nothing_is_enforced_where_nothing_is_set() -> None:
    bare = limits_of(provider(), "claude-haiku", NONE_LIVE)
    assert (bare.limits, bare.shared, bare.pool, bare.burst_s) == ({}, {}, "", 0)
    assert bare.concurrency == 100


@pytest.mark.parametrize(
    ("live", "model", "limits"),
    [
        ({(EVERY_MODEL, "rpm"): 5}, "claude-haiku", {"rpm": 5, "itpm": 30_000}),
        ({(EVERY_MODEL, "rpm"): 5}, "claude-opus-4-1", {"rpm": 60, "itpm": 30_000}),
        ({(EVERY_MODEL, "otpm"): 5}, "claude-opus-4", {"rpm": 1000, "itpm": 2e6, "otpm": 5}),
        ({("claude-opus-4*", "rpm"): 5}, "claude-opus-4", {"rpm": 5, "itpm": 2e6}),
        ({("claude-opus-4*", "rpm"): 5}, "claude-haiku", {"rpm": 50, "itpm": 30_000}),
        ({("claude-haiku", "rpm"): 5}, "claude-haiku", {"rpm": 5, "itpm": 30_000}),
    ],
)
def test_a_live_limit_replaces_the_one_of_the_settings(
    live: LiveCeilings, model: str, limits: dict[str, float]
) -> None:
    assert limits_of(CLAUDE, model, live).limits == limits


def test_a_pattern_that_is_set_live_makes_a_family() -> None:
    live = {("claude-h*", "rpm"): 5.0}
    assert limits_of(CLAUDE, "claude-haiku", live).pool == "claude-h*"
    assert limits_of(CLAUDE, "claude-haiku", live).limits == {"rpm": 5, "itpm": 30_000}


def test_live_limits_of_the_account_and_of_concurrency_hold_for_each_model() -> None:
    live = {(ACCOUNT, "rpm"): 5.0, (ACCOUNT, "tpd"): 1e6, (EVERY_MODEL, "concurrency"): 7.0}
    held = limits_of(CLAUDE, "claude-opus-4-1", live)
    assert (held.shared, held.concurrency) == ({"rpm": 5, "tpd": 1e6}, 7)
    assert held.limits == {"rpm": 60, "itpm": 30_000}
