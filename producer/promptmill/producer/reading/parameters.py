"""The options of `-o`: what each must look like, and which of them a provider takes.

Names are those of chat-completions bodies. A vendor that speaks OpenAI's dialect may have names of
its own, which are sent as they are; what is nearly a known name is a slip.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from promptmill.schema.errors import UsageError
from promptmill.schema.provider_kinds import ProviderKind

_NUMBERS = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}
_WHOLE = ("top_k", "seed", "max_tokens", "max_completion_tokens", "top_logprobs")
_COMMON = frozenset(
    {"temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "response_format"}
    | {"stream"}
)
_IGNORED = frozenset(
    {"metadata", "store", "user", "stream_options", "safety_identifier"}
    | {"prompt_cache_key", "prompt_cache_retention"}
)
_EVERYWHERE = _COMMON | {"tools", "tool_choice", "parallel_tool_calls", "reasoning_effort"}
TAKEN = {
    ProviderKind.ANTHROPIC: _EVERYWHERE | {"top_k", "cache_control"},
    ProviderKind.GEMINI: _EVERYWHERE
    | {"top_k", "seed", "frequency_penalty", "presence_penalty", "cache_control"},
}
"""What the adapters of these kinds translate; a test holds both equal."""
_OPENAI = (
    _COMMON
    | TAKEN[ProviderKind.GEMINI]
    | _IGNORED
    | {"logit_bias", "logprobs", "top_logprobs", "verbosity", "service_tier", "modalities", "audio"}
    | {"prediction", "web_search_options"}
    | {"functions", "function_call", "min_p", "repetition_penalty", "best_of"}
)
_ALIKE = 0.85
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def check_values(parameters: Mapping[str, Any]) -> None:
    """Refuse values that no provider would take. Raises UsageError."""
    for name, value in parameters.items():
        if name in _NUMBERS:
            low, high = _NUMBERS[name]
            if not _is_number(value) or not low <= value <= high:
                msg = f"-o {name} {value}: give a number from {low} to {high}, such as 0.2"
                raise UsageError(msg)
        elif name in _WHOLE and type(value) is not int:
            msg = f"-o {name} {value}: give a whole number, such as 200"
            raise UsageError(msg)
        elif name == "stream" and not isinstance(value, bool):
            msg = f"-o stream {value}: give true, or false where the input says true"
            raise UsageError(msg)
        elif name == "stop" and not _is_text(value):
            msg = f'-o stop {value}: give a text, or several as JSON: \'["END", "###"]\''
            raise UsageError(msg)
        elif name == "reasoning_effort" and value not in _EFFORTS:
            msg = f"-o reasoning_effort {value}: give one of {', '.join(_EFFORTS)}"
            raise UsageError(msg)


def check_taken(parameters: Mapping[str, Any], kind: ProviderKind, provider: str) -> None:
    """Refuse options that *provider*, which is of *kind*, does not take. Raises UsageError."""
    _check_names(parameters, kind, provider)
    form = parameters.get("response_format")
    if (
        kind is ProviderKind.ANTHROPIC
        and isinstance(form, Mapping)
        and form.get("type") == "json_object"
    ):
        msg = f"-o response_format: {provider} gives JSON by a schema only: give --schema FILE"
        raise UsageError(msg)
    if kind is ProviderKind.GEMINI and parameters.get("parallel_tool_calls") is False:
        msg = f"-o parallel_tool_calls false: {provider} may always ask for several calls at once"
        raise UsageError(msg)


def _check_names(names: Iterable[str], kind: ProviderKind, provider: str) -> None:
    known = TAKEN.get(kind, _OPENAI)
    for name in names:
        if name in known or name in _IGNORED:
            continue
        near = get_close_matches(name, known, n=1, cutoff=_ALIKE)
        if near:
            msg = f"-o {name}: there is no such option; is it {near[0]}?"
            raise UsageError(msg)
        if kind in TAKEN:
            msg = f"-o {name}: {provider} has no such option; it takes {', '.join(sorted(known))}"
            raise UsageError(msg)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(one, str) for one in value)
    return isinstance(value, str)
