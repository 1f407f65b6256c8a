"""What is asked: prompts of about 500 characters, all different, the same for everybody."""

from itertools import cycle, islice

TEXT = """
the shipment arrived two days late and one of the boxes was open but nothing was missing so we would
like to know whether the carrier offers a discount for the next order because our customers have
begun to ask and the support desk has no answer yet please keep it short
"""
WORDS = TEXT.split()
MODELS = {
    "openai": "gpt-4o-mini",
    "anthropic": "claude-3-5-haiku-latest",
    "gemini": "gemini-2.5-flash",
}
MAX_TOKENS = 64
_LENGTH = 90
"""words"""


def prompt(number: int) -> str:
    """Write the prompt of this number."""
    words = islice(cycle(WORDS), number % len(WORDS), number % len(WORDS) + _LENGTH)
    return f"Answer message {number} in one sentence: {' '.join(words)}"
