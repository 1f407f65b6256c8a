"""Who is measured: what people have their prompts answered with, if not with promptmill."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.figures import Demand, at_most

_CALLING = Path(__file__).parent / "calling"
_BARE = Path(__file__).parents[1] / "path_cases" / "bare.py"


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that calls, and what it needs."""

    name: str
    program: tuple[str, ...]
    """a file, and what it is told first"""
    requirement: str | None = None
    """None: promptmill's own environment has it"""
    demand: Demand | None = None
    """of our CPU beside its"""


def _calling(name: str) -> tuple[str, ...]:
    return (str(_CALLING / f"with_{name}.py"),)


PEERS = (
    Peer("aiohttp", _calling("aiohttp")),
    Peer("openai", (str(_BARE), "openai")),
    Peer("flexllm", _calling("flexllm"), "flexllm==0.17.10", at_most(2.0)),
    Peer("async-batch-llm", _calling("async_batch_llm"), "async-batch-llm[openai]==0.28.0"),
    Peer("curator", _calling("curator"), "bespokelabs-curator==0.1.31"),
    Peer("litellm", _calling("litellm"), "litellm==1.109.1"),
)
