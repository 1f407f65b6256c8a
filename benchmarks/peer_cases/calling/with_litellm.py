"""LiteLLM: its `Router` over one deployment, a semaphore, and `gather`."""

import asyncio
import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from benchmarks.path_cases.prompts import MAX_TOKENS, MODELS, prompt


async def main(url: str, calls: int, in_flight: int) -> None:
    """Answer so many prompts, so many at once."""
    model = MODELS["openai"]
    deployment = {"model": f"openai/{model}", "api_base": url, "api_key": "sk-bench"}
    router = import_module("litellm").Router(
        model_list=[{"model_name": model, "litellm_params": deployment}], num_retries=0
    )
    semaphore = asyncio.Semaphore(in_flight)

    async def one(number: int) -> str | None:
        async with semaphore:
            answer = await router.acompletion(
                model=model,
                messages=[{"role": "user", "content": prompt(number)}],
                max_tokens=MAX_TOKENS,
            )
        text: str | None = answer.choices[0].message.content
        return text

    await asyncio.gather(*map(one, range(calls)))


if __name__ == "__main__":
    base_url, calls, in_flight = sys.argv[1:]
    asyncio.run(main(base_url, int(calls), int(in_flight)))
