"""The loops that people write: an official SDK as it comes, a semaphore, and `gather`.

    python bare.py PROVIDER URL CALLS IN_FLIGHT

Run as a process of its own. Nothing is kept, limited, retried or counted. A call that fails (on a
busy machine the SDK's pool lets connections wait until they time out) is none of the answers.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.path_cases.prompts import MAX_TOKENS, MODELS, prompt

Ask = Callable[[str], Awaitable[str | None]]


def openai_loop(url: str) -> Ask:
    """Ask by `chat.completions.create`."""
    from openai import AsyncOpenAI  # noqa: PLC0415  one SDK a process

    client = AsyncOpenAI(base_url=url, api_key="sk-bench")

    async def ask(text: str) -> str | None:
        answer = await client.chat.completions.create(
            model=MODELS["openai"],
            messages=[{"role": "user", "content": text}],
            max_tokens=MAX_TOKENS,
        )
        return answer.choices[0].message.content

    return ask


def anthropic_loop(url: str) -> Ask:
    """Ask by `messages.create`."""
    from anthropic import AsyncAnthropic  # noqa: PLC0415
    from anthropic.types import TextBlock  # noqa: PLC0415

    client = AsyncAnthropic(base_url=url, api_key="sk-bench")

    async def ask(text: str) -> str | None:
        answer = await client.messages.create(
            model=MODELS["anthropic"],
            messages=[{"role": "user", "content": text}],
            max_tokens=MAX_TOKENS,
        )
        block = answer.content[0]
        return block.text if isinstance(block, TextBlock) else None

    return ask


def gemini_loop(url: str) -> Ask:
    """Ask by `aio.models.generate_content`."""
    from google import genai  # noqa: PLC0415
    from google.genai import types  # noqa: PLC0415

    options = types.HttpOptions(base_url=url, api_version="v1beta")
    client = genai.Client(api_key="sk-bench", http_options=options)
    config = types.GenerateContentConfig(max_output_tokens=MAX_TOKENS)

    async def ask(text: str) -> str | None:
        answer = await client.aio.models.generate_content(
            model=MODELS["gemini"], contents=text, config=config
        )
        return answer.text

    return ask


LOOPS = {"openai": openai_loop, "anthropic": anthropic_loop, "gemini": gemini_loop}


async def loop(ask: Ask, calls: int, in_flight: int) -> None:
    """Answer so many prompts, so many at once."""
    semaphore = asyncio.Semaphore(in_flight)
    answers: list[str | None] = []

    async def one(number: int) -> None:
        async with semaphore:
            try:
                answers.append(await ask(prompt(number)))
            except Exception as error:  # noqa: BLE001  people print it, and go on
                sys.stderr.write(f"{type(error).__name__}\n")

    await asyncio.gather(*(one(number) for number in range(calls)))


if __name__ == "__main__":
    name, base_url, calls, in_flight = sys.argv[1:]
    asyncio.run(loop(LOOPS[name](base_url), int(calls), int(in_flight)))
