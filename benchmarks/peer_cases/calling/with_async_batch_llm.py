"""async-batch-llm: `process_prompts` over its model for servers that speak chat completions."""

import asyncio
import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from benchmarks.path_cases.prompts import MAX_TOKENS, MODELS, prompt


async def main(url: str, calls: int, in_flight: int) -> None:
    """Answer so many prompts, so many at once."""
    package = import_module("async_batch_llm")
    model = package.OpenAICompatibleModel.from_api_key(
        MODELS["openai"],
        "sk-bench",
        base_url=url,
        max_connections=in_flight,
        extra_body={"max_tokens": MAX_TOKENS},
    )
    await package.process_prompts(
        package.ModelStrategy(model), map(prompt, range(calls)), concurrency=in_flight
    )


if __name__ == "__main__":
    base_url, calls, in_flight = sys.argv[1:]
    asyncio.run(main(base_url, int(calls), int(in_flight)))
