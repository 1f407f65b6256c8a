"""How much Anthropic is told to think (https://docs.claude.com/en/docs/build-with-claude/effort).

From Claude 4.6 on a model thinks as much as it likes, round an effort; those before it are given a
number of tokens, which newer ones refuse.
"""

import re
from typing import Any, Final

from promptmill.workers.providers.chat import UnsendableError

_BY_TOKENS: Final = re.compile(r"claude-(3-7|(opus|sonnet|haiku)-4(-[0-5])?(-\d{8}|-latest)?$)")
_SHARES: Final = {"low": 0.2, "medium": 0.5, "high": 0.8}
"""Of the tokens that the answer may have: thinking takes its own out of them."""
_LEAST: Final = 1024


def thinking_of(effort: str, *, model: str, max_tokens: int) -> dict[str, Any]:
    """Say *effort* as fields of a request. Raises UnsendableError."""
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    effort = "low" if effort == "minimal" else effort
    if not _BY_TOKENS.match(model):
        return {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}}
    if effort not in _SHARES:
        problem = "this model thinks by a number of tokens: high is the most"
        raise UnsendableError(field="reasoning_effort", problem=problem)
    budget = max(_LEAST, int(max_tokens * _SHARES[effort]))
    if budget >= max_tokens:
        problem = f"thinking takes {_LEAST} tokens at least, and max_tokens is not more"
        raise UnsendableError(field="reasoning_effort", problem=problem)
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}
