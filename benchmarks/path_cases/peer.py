"""A peer: flexllm, which calls as many at once, and keeps nothing.

    python peer.py URL CALLS IN_FLIGHT

Run with the Python of an environment of its own. It prints the number of answers now and then.
"""

import asyncio
import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.path_cases.prompts import MAX_TOKENS, MODELS, prompt

_CHUNK = 1000


async def main(url: str, calls: int, in_flight: int) -> None:
    """Answer so many prompts, in batches of a thousand."""
    flexllm = import_module("flexllm")
    client = flexllm.LLMClient(
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
        sys.stdout.write(f"{start + len(chunk)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    base_url, calls, in_flight = sys.argv[1:]
    asyncio.run(main(base_url, int(calls), int(in_flight)))
