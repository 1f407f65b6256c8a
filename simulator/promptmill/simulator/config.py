"""What a simulator is told: addresses, latency, limits, keys and faults.

As a file:

    latency_s = 0.5
    latency_sigma = 0.3

    [limits]
    rpm = 600
    shape = "sliding_minute"

    [limits_for.anthropic]
    itpm = 50_000
    otpm = 10_000

    [[faults]]
    kind = "overloaded"
    provider = "anthropic"
    probability = 0.02
"""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from promptmill.simulator.faults import Fault
from promptmill.simulator.provider import Provider

_SCALE = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}

Positive = Annotated[float, msgspec.Meta(gt=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Dimension(StrEnum):
    """What a limit counts."""

    RPM = "rpm"
    TPM = "tpm"
    ITPM = "itpm"
    OTPM = "otpm"
    RPD = "rpd"


class Shape(StrEnum):
    """How a limit by the minute is enforced. No provider documents more than the first."""

    TOKEN_BUCKET = "token_bucket"  # noqa: S105
    """A minute deep, refilled continuously: Anthropic's documented shape."""
    FIXED_MINUTE = "fixed_minute"
    """A counter that starts again each minute, counted from the first request."""
    SLIDING_MINUTE = "sliding_minute"
    """Never more than the limit in any 60 s: the strictest by the minute."""
    PER_SECOND = "per_second"
    """A bucket one second deep ("60 RPM may be enforced as 1 request a second")."""


_BUCKETS = frozenset({Shape.TOKEN_BUCKET, Shape.PER_SECOND})


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ceilings of one key and model; a dimension left out is not enforced."""

    rpm: Positive | None = None
    tpm: Positive | None = None
    itpm: Positive | None = None
    otpm: Positive | None = None
    rpd: Positive | None = None
    shape: Shape = Shape.TOKEN_BUCKET
    burst_s: Positive | None = None
    """how much a bucket holds, in seconds of its limit, where the shape's own depth is not meant"""

    def __post_init__(self) -> None:
        if self.burst_s is not None and self.shape not in _BUCKETS:
            msg = f"burst_s is the depth of a bucket, and {self.shape.value} is none"
            raise ValueError(msg)


class SimulatorConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One simulator. `limits_for` is keyed by a model or by a provider; the model wins."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0
    """0 takes a free one"""
    latency_s: Seconds = 0.0
    """from the last byte of the request to the first of the answer: fixed, or the median"""
    latency_sigma: Seconds = 0.0
    """above 0 the latency is lognormal with this sigma"""
    seed: int = 0
    """of latencies and of faults by probability"""
    limits: Limits = Limits()
    limits_for: dict[str, Limits] = {}
    windows: dict[str, Annotated[int, msgspec.Meta(ge=1)]] = {}
    """the most input tokens, keyed as `limits_for` is; none means any number"""
    keys: frozenset[str] = frozenset()
    """keys that are accepted; none means any"""
    limit_headers: bool = True
    """whether answers tell the limits and what remains of them, where the provider does"""
    retry_after: bool = True
    """whether a refusal by a limit tells when to come back; a fault that names a time tells it"""
    faults: tuple[Fault, ...] = ()
    """rules in force from the start"""
    answer_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """length of every answer; None lets the prompt's digest choose 12 to 43"""
    chunk_tokens: Annotated[int, msgspec.Meta(ge=1)] = 8
    """tokens in each event of a streamed answer"""
    chunk_interval_s: Seconds = 0.0
    """from one event of a streamed answer to the next"""
    background_s: Seconds = 0.0
    """from a request that is answered in the background to its answer; may change meanwhile"""
    batch_s: Seconds = 0.0
    """from the creation of a batch to its end"""
    batch_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """input tokens that may wait in OpenAI's batches, of one key and model; None: any number"""
    bill_rows: Annotated[int, msgspec.Meta(ge=1)] = 200_000
    """bill entries that are kept, newest first to stay; totals are kept of all"""

    def limits_of(self, provider: Provider, model: str) -> Limits:
        """Return the ceilings that hold for *model*."""
        by_provider = self.limits_for.get(provider.value, self.limits)
        return self.limits_for.get(model, by_provider)

    def window_of(self, provider: Provider, model: str) -> int | None:
        """Return how many input tokens *model* takes."""
        return self.windows.get(model, self.windows.get(provider.value))


def load_config(path: Path) -> SimulatorConfig:
    """Read a TOML file. Raises msgspec.ValidationError that names the wrong field."""
    return msgspec.toml.decode(path.read_bytes(), type=SimulatorConfig)


def parse_amount(text: str) -> float:
    """Read human units: `500`, `200k`, `1.5M`, `30,000`. Raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kmg]?)", text.strip().replace(",", "").lower())
    if match is None:
        msg = f"{text!r} is no amount; write 500, 200k or 1.5M"
        raise ValueError(msg)
    return float(match[1]) * _SCALE[match[2]]
