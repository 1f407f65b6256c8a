"""Which provider answers a model."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from promptmill.schema.errors import UsageError
from promptmill.schema.settings import ProviderKind, ProviderSettings

_FAMILIES = {
    ProviderKind.OPENAI: re.compile(r"gpt-|chatgpt-|o[134](-|$)|ft:"),
    ProviderKind.ANTHROPIC: re.compile(r"claude-"),
    ProviderKind.GEMINI: re.compile(r"gemini-|gemma-"),
}
_FIRST_WORDS = ("gpt", "chatgpt", "claude", "gemini", "gemma")
_WHOSE = {
    ProviderKind.OPENAI: "OpenAI's",
    ProviderKind.ANTHROPIC: "Anthropic's",
    ProviderKind.GEMINI: "Gemini's",
}


@dataclass(frozen=True, slots=True)
class Route:
    """Who is asked, and for which model by the provider's own name."""

    provider: str
    model: str

    @property
    def full(self) -> str:
        """Name it as -m does: `provider/model`."""
        return f"{self.provider}/{self.model}"


def route(
    model: str,
    providers: Mapping[str, ProviderSettings],
    *,
    routes: Mapping[str, str] | None = None,
    only_for: ProviderKind | None = None,
) -> Route:
    """Read `provider/model`, or look the model up in *routes*, or tell by how models are named.

    *only_for* says whose own requests are to be answered. Raises UsageError that lists what is
    known.
    """
    found = _found(model, providers, routes or {}, only_for)
    kind = providers[found.provider].kind
    if only_for not in (None, kind):
        msg = (
            f"these requests are written in {_WHOSE[only_for]} own words, which the provider"
            f" {found.provider!r} of {model!r} does not read: give -m a model of {only_for}, or"
            " write OpenAI Batch lines or rows, which everybody answers"
        )
        raise UsageError(msg)
    return found


def _found(
    model: str,
    providers: Mapping[str, ProviderSettings],
    routes: Mapping[str, str],
    only_for: ProviderKind | None,
) -> Route:
    provider, slash, rest = model.partition("/")
    if slash and provider in providers:
        if not rest:
            msg = f"{model!r} names no model: write provider/model"
            raise UsageError(msg)
        return Route(provider, rest)
    for pattern, target in routes.items():
        if fnmatchcase(model, pattern):
            return _by_rule(model, target, providers)
    if slash:
        msg = f"{model!r} names the provider {provider!r}, which is not known: {_known(providers)}"
        raise UsageError(msg)
    for kind, family in _FAMILIES.items():
        if family.match(model):
            return Route(_of_kind(kind, model, providers), model)
    if only_for is not None:
        return Route(_of_kind(only_for, model, providers), model)
    msg = f"the model {model!r} does not tell its provider{_meant(model)}: write provider/model; "
    raise UsageError(msg + _known(providers))


def _by_rule(model: str, target: str, providers: Mapping[str, ProviderSettings]) -> Route:
    """Follow a line of `[routes]`: a provider, or provider/model where it is called otherwise."""
    provider, _, other = target.partition("/")
    if provider not in providers:
        msg = f"routes names the provider {provider!r}, which is not known: {_known(providers)}"
        raise UsageError(msg)
    return Route(provider, other or model)


def _meant(model: str) -> str:
    """Suggest the family that *model* is nearly named after: `gtp-4o`, `cluade-`."""
    word = model.partition("-")[0].lower()
    for near in get_close_matches(word, _FIRST_WORDS, n=1):
        if abs(len(near) - len(word)) <= 1 and not model.startswith(near):
            return f" (is it {near}{model[len(word) :]}?)"
    return ""


def _of_kind(kind: ProviderKind, model: str, providers: Mapping[str, ProviderSettings]) -> str:
    """Prefer the provider that is named after its kind, else the only one of the kind."""
    names = [name for name, settings in providers.items() if settings.kind is kind]
    if kind.value in names:
        return kind.value
    if len(names) == 1:
        return names[0]
    msg = f"{model!r} may be answered by several providers, or none: write provider/model; "
    raise UsageError(msg + _known(providers))


def _known(providers: Mapping[str, ProviderSettings]) -> str:
    names = ", ".join(sorted(providers)) or "none"
    return (
        f"known providers are {names}; models named gpt-, chatgpt-, o1, o3, o4 go to openai, "
        "claude- to anthropic, gemini- and gemma- to gemini. Others are set up in promptmill.toml,"
        " under [providers.NAME] and [routes]"
    )
