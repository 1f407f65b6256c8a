"""aiohttp alone: a POST, and JSON. Nothing that knows a provider can be cheaper."""

import asyncio
import sys
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[3]))

from benchmarks.path_cases.prompts import MAX_TOKENS, MODELS, prompt


async def main(url: str, calls: int, in_flight: int) -> None:
    """Answer so many prompts, so many at once."""
    semaphore = asyncio.Semaphore(in_flight)
    connector = aiohttp.TCPConnector(limit=in_flight)
    headers = {"Authorization": "Bearer sk-bench"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def one(number: int) -> str:
            body = {
                "model": MODELS["openai"],
                "messages": [{"role": "user", "content": prompt(number)}],
                "max_tokens": MAX_TOKENS,
            }
            async with semaphore, session.post(f"{url}/chat/completions", json=body) as answer:
                text: str = (await answer.json())["choices"][0]["message"]["content"]
                return text

        await asyncio.gather(*map(one, range(calls)))


if __name__ == "__main__":
    base_url, calls, in_flight = sys.argv[1:]
    asyncio.run(main(base_url, int(calls), int(in_flight)))
