"""How much Gemini is told to think (https://ai.google.dev/gemini-api/docs/thinking).

Gemini 2.5 is given a number of tokens, those after it a level; each refuses the other. The numbers
are those of Google's own translation (https://ai.google.dev/gemini-api/docs/openai#thinking).
"""

from typing import Any, Final

from promptmill.workers.providers.chat import UnsendableError

_BUDGETS: Final = {
    "none": 0,
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 24_576,
    "max": 24_576,
}
_LEVELS: Final = {
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "XHIGH",
    "max": "XHIGH",
}


def thinking_of(effort: str, *, model: str) -> dict[str, Any]:
    """Say *effort* as a thinkingConfig. Raises UnsendableError."""
    if model.startswith("gemini-2.5"):
        return {"thinkingBudget": _BUDGETS[effort]}
    if effort not in _LEVELS:
        problem = "Gemini 3 and later always think: ask for minimal"
        raise UnsendableError(field="reasoning_effort", problem=problem)
    return {"thinkingLevel": _LEVELS[effort]}
