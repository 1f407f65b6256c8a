"""curator: `LLM` with its OpenAI backend, which writes requests and answers to files of its own."""

import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from benchmarks.path_cases.prompts import MAX_TOKENS, MODELS, prompt

_NO_LIMIT = 100_000_000


def main(url: str, calls: int, in_flight: int) -> None:
    """Answer so many prompts, so many at once."""
    # It brings the tokens' table that curator would fetch.
    import_module("litellm.litellm_core_utils.default_encoding")
    ask = import_module("bespokelabs.curator").LLM(
        model_name=MODELS["openai"],
        backend="openai",
        generation_params={"max_tokens": MAX_TOKENS},
        backend_params={
            "base_url": url,
            "max_requests_per_minute": _NO_LIMIT,
            "max_tokens_per_minute": _NO_LIMIT * 100,
            "max_concurrent_requests": in_flight,
        },
    )
    ask([prompt(number) for number in range(calls)])


if __name__ == "__main__":
    base_url, calls, in_flight = sys.argv[1:]
    main(base_url, int(calls), int(in_flight))
