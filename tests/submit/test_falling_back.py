"""What a batch falls back to is decided, checked and stored when it is submitted."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promptmill.producer.routing import Route, Router
from promptmill.producer.submitting.falling_back import Fallbacks, parse_fallbacks
from promptmill.producer.submitting.submission import submit
from promptmill.schema.errors import UsageError
from promptmill.schema.fallbacks import Rules, When, later, leads_on, read_rules
from promptmill.schema.provider_kinds import ProviderKind
from promptmill.schema.settings import FallbackSettings, Settings
from tests.schema.scene import Scene
from tests.submit.inputs import asking, write_batch, write_lines

ASKED = "openai/gpt-4o"
KINDS = {kind.value: kind for kind in ProviderKind}
AZURE = KINDS | {"azure": ProviderKind.OPENAI}


def ways(
    *typed: str,
    usual: Mapping[str, tuple[FallbackSettings, ...]] | None = None,
    only_for: ProviderKind | None = None,
    **parameters: Any,
) -> list[str]:
    chosen = Fallbacks(parse_fallbacks(typed) if typed else None, usual or {}, parameters)
    router = Router(AZURE, {}, only_for=only_for)
    rules = chosen.rules({None: [Route("openai", "gpt-4o")]}, router)
    return [f"{one.to} {','.join(one.when)}" for one in rules.get(ASKED, ())]


def test_what_is_typed_is_a_model_and_perhaps_when() -> None:
    assert ways("claude-opus-4-1:policy, paused", "gemini/a:b:context", "azure/llama3:8b") == [
        "anthropic/claude-opus-4-1 policy,paused",
        "gemini/a:b context",
        "azure/llama3:8b paused,context,policy",
    ]
    assert ways("gpt-4o", "azure/gpt-4o", "azure/gpt-4o:policy") == [
        "azure/gpt-4o paused,context,policy"
    ]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["claude-opus-4-1:polcy"], "no conditions"),
        (["none", "claude-opus-4-1"], "no other --fallback"),
        (["llama-7"], "--fallback llama-7: the model 'llama-7' does not tell its provider"),
        ([""], "names no model"),
    ],
)
def test_a_slip_is_refused_in_words(typed: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ways(*typed)


def test_what_cannot_be_followed_is_refused_if_it_was_typed_and_left_out_if_not() -> None:
    usual = {"gpt-4*": (FallbackSettings(to="claude-opus-4-1"), FallbackSettings(to="azure/gpt-4"))}
    assert len(ways(usual=usual)) == 2
    assert ways(usual=usual, only_for=ProviderKind.OPENAI) == ["azure/gpt-4 paused,context,policy"]
    assert ways(usual=usual, seed=7) == ["azure/gpt-4 paused,context,policy"]
    assert ways("none", usual=usual) == []
    with pytest.raises(UsageError, match="OpenAI's own words"):
        ways("claude-opus-4-1", only_for=ProviderKind.OPENAI)
    with pytest.raises(UsageError, match="--fallback claude-opus-4-1: -o seed"):
        ways("claude-opus-4-1", seed=7)


def test_a_job_goes_down_its_list_and_never_back() -> None:
    rules: Rules = read_rules(
        f'{{"{ASKED}": [{{"to": "gemini/g", "when": ["policy"]}}, '
        '{"to": "anthropic/c", "when": ["paused"]}]}'
    )

    def after(now: str) -> list[str]:
        return [one.to for one in later(rules, asked=ASKED, now=now)]

    assert after(ASKED) == ["gemini/g", "anthropic/c"]
    assert after("gemini/g") == ["anthropic/c"]
    assert after("anthropic/c") == after("nobody/n") == []
    assert leads_on(rules, left=["openai"], held=["openai", "gemini"])
    assert leads_on(rules, left=["gemini"], held=["gemini", "openai"])
    assert not leads_on(rules, left=["openai"], held=["openai", "anthropic"])
    assert not leads_on(rules, left=["anthropic"], held=["anthropic"])


def test_a_batch_keeps_its_fallbacks_until_others_are_typed(
    scene: Scene, settings: Settings, tmp_path: Path
) -> None:
    usual = {"gpt-4o-mini": (FallbackSettings(to="gemini-2.5-flash", when=(When.PAUSED,)),)}
    settings = settings.model_copy(update={"fallbacks": usual})
    source = write_batch(tmp_path / "in.jsonl", 3)
    heard: list[frozenset[str]] = []

    def stored(*typed: str, **changes: Any) -> str | None:
        fallbacks = parse_fallbacks(typed) if typed else None
        request = replace(asking(source, model="gpt-4o-mini"), fallbacks=fallbacks, **changes)
        batch = submit(scene.database, request, settings, require=heard.append).batch_id
        found: str | None = scene.sql(f"select fallbacks from batches where id = {batch}")[
            0
        ].fallbacks
        return found

    first = stored()
    assert first is not None
    assert [one.to for one in read_rules(first)["openai/gpt-4o-mini"]] == [
        "gemini/gemini-2.5-flash"
    ]
    assert heard == [frozenset({"openai", "gemini"})]
    changed = stored("claude-haiku-4-5")
    assert changed is not None
    assert "anthropic/claude-haiku-4-5" in changed
    assert stored() == changed
    assert stored("none") is None
    assert scene.count("batches") == 1


def test_lines_in_a_providers_own_words_do_not_fall_back_to_another(
    scene: Scene, settings: Settings, tmp_path: Path
) -> None:
    said = [{"role": "user", "content": "x"}]
    line = {"custom_id": "a", "params": {"max_tokens": 9, "messages": said}}
    source = write_lines(tmp_path / "in.jsonl", line)
    request = replace(
        asking(source, model="claude-haiku-4-5"), fallbacks=parse_fallbacks(["gpt-4o-mini"])
    )
    with pytest.raises(UsageError, match="Anthropic's own words"):
        submit(scene.database, request, settings)
    assert scene.count("batches") == 0
