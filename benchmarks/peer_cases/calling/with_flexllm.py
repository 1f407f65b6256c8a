"""flexllm: `LLMClient.chat_batch`, a thousand prompts at a time."""

import asyncio
import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from benchmarks.path_cases.prompts import MAX_TOKENS, MODELS, prompt

_CHUNK = 1000


async def main(url: str, calls: int, in_flight: int) -> None:
    """Answer so many prompts, so many at once."""
    client = import_module("flexllm").LLMClient(
        provider="openai",
        base_url=url,
        api_key="sk-bench",
        model=MODELS["openai"],
        concurrency_limit=in_flight,
        retry_times=0,
    )
    for start in range(0, calls, _CHUNK):
        chunk = [
            [{"role": "user", "content": prompt(number)}]
            for number in range(start, min(calls, start + _CHUNK))
        ]
        await client.chat_batch(chunk, show_progress=False, max_tokens=MAX_TOKENS)


if __name__ == "__main__":
    base_url, calls, in_flight = sys.argv[1:]
    asyncio.run(main(base_url, int(calls), int(in_flight)))
