"""What a request is expected to use, as the limiter is told."""

from collections.abc import Mapping
from typing import Any

from promptmill.schema.provider_kinds import ProviderKind
from promptmill.schema.tokens import count_input, most_output
from promptmill.workers.limits.limit import Estimate


def estimate(kind: ProviderKind, body: Mapping[str, Any]) -> Estimate:
    """Estimate what a chat-completions *body* will use at a provider of *kind*."""
    return Estimate(input_tokens=count_input(kind, body), max_output_tokens=most_output(body))
