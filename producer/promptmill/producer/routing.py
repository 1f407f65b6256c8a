"""Which provider answers a model."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from promptmill.schema.errors import UsageError
from promptmill.schema.settings import ProviderKind, ProviderSettings

_FAMILIES = {
    ProviderKind.OPENAI: re.compile(r"gpt-|chatgpt-|o[134](-|$)|ft:"),
    ProviderKind.ANTHROPIC: re.compile(r"claude-"),
    ProviderKind.GEMINI: re.compile(r"gemini-|gemma-"),
}


@dataclass(frozen=True, slots=True)
class Route:
    """Who is asked, and for which model by the provider's own name."""

    provider: str
    model: str


def route(model: str, providers: Mapping[str, ProviderSettings]) -> Route:
    """Read `provider/model`, or tell the provider by how its models are named.

    Raises UsageError that lists what is known.
    """
    provider, slash, rest = model.partition("/")
    if slash and provider in providers:
        if not rest:
            msg = f"{model!r} names no model: write provider/model"
            raise UsageError(msg)
        return Route(provider, rest)
    if slash:
        msg = f"{model!r} names the provider {provider!r}, which is not known: {_known(providers)}"
        raise UsageError(msg)
    for kind, family in _FAMILIES.items():
        if family.match(model):
            return Route(_of_kind(kind, model, providers), model)
    msg = f"the model {model!r} does not tell its provider: write provider/model; "
    raise UsageError(msg + _known(providers))


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
        "claude- to anthropic, gemini- and gemma- to gemini. Others are set up in promptmill.toml"
    )
