"""Which provider answers a model."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from promptmill.schema.errors import UsageError
from promptmill.schema.provider_kinds import ProviderKind

Kinds = Mapping[str, ProviderKind]
"""of each provider and pool, by its name"""
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


@dataclass(frozen=True, slots=True)
class Router:
    """Who is asked: the models of -m, else the one that a line names."""

    providers: Kinds
    rules: Mapping[str, str]
    """of `[routes]`"""
    asked: tuple[Route, ...] = ()
    """the models of -m"""
    only_for: ProviderKind | None = None
    """whose own requests are to be answered"""

    def routes(self, model: str | None) -> tuple[Route, ...]:
        """Say who is asked by a line that names *model*. Raises UsageError."""
        if self.asked:
            return tuple(self._route(one.full) for one in self.asked)
        if model is None:
            msg = "no model is named"
            raise UsageError(msg)
        return (self._route(model),)

    def answering(self, model: str | None) -> tuple[Route, ...]:
        """Say the same, and nobody in place of an error."""
        try:
            return self.routes(model)
        except UsageError:
            return ()

    def _route(self, model: str) -> Route:
        return route(model, self.providers, rules=self.rules, only_for=self.only_for)


def route(
    model: str,
    providers: Kinds,
    *,
    rules: Mapping[str, str] | None = None,
    only_for: ProviderKind | None = None,
) -> Route:
    """Read `provider/model`, or look the model up in *rules*, or tell by how models are named.

    *only_for* says whose own requests are to be answered. Raises UsageError that lists what is
    known.
    """
    found = _found(model, providers, rules or {}, only_for)
    kind = providers[found.provider]
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
    providers: Kinds,
    rules: Mapping[str, str],
    only_for: ProviderKind | None,
) -> Route:
    provider, slash, rest = model.partition("/")
    if slash and provider in providers:
        if not rest:
            msg = f"{model!r} names no model: write provider/model"
            raise UsageError(msg)
        return Route(provider, rest)
    for pattern, target in rules.items():
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


def _by_rule(model: str, target: str, providers: Kinds) -> Route:
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


def _of_kind(kind: ProviderKind, model: str, providers: Kinds) -> str:
    """Prefer the provider that is named after its kind, else the only one of the kind."""
    names = [name for name, its_kind in providers.items() if its_kind is kind]
    if kind.value in names:
        return kind.value
    if len(names) == 1:
        return names[0]
    msg = f"{model!r} may be answered by several providers, or none: write provider/model; "
    raise UsageError(msg + _known(providers))


def _known(providers: Kinds) -> str:
    names = ", ".join(sorted(providers)) or "none"
    return (
        f"known providers are {names}; models named gpt-, chatgpt-, o1, o3, o4 go to openai, "
        "claude- to anthropic, gemini- and gemma- to gemini. Others are set up in promptmill.toml,"
        " under [providers.NAME] and [routes]"
    )
