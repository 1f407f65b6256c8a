"""The sections of the settings, but those of providers and of the network."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from promptmill.schema.fallbacks import USUAL, When
from promptmill.schema.provider_settings import Strict, from_json, parse_amount


class RetrySettings(Strict):
    """When a job is tried again, and when it is given up."""

    max_attempts: int = Field(default=5, gt=0)
    """attempts that count: refusals by a rate limit do not"""
    max_refusals: int = Field(default=1000, gt=0)
    """refusals (429, 503) before the job fails"""
    max_crashes: int = Field(default=3, gt=0)
    """workers lost with this job in hand before it is quarantined"""
    max_age_s: float = Field(default=7 * 86400, gt=0)
    """after this a job is not tried again"""
    outage_s: float = Field(default=3600.0, ge=0)
    """how long a provider that fails every call uses up no attempts"""
    same_failures: int = Field(default=20, ge=0)
    """equal `request` errors in a row that pause their batch; 0: never"""
    fallback_after_s: float = Field(default=60.0, ge=0)
    """an outage that has lasted so long, or a pause that will, sends jobs to their fallbacks"""
    fallback_deadline_s: float = Field(default=600.0, ge=0)
    """so long before the deadline of its batch, a job that still waits may go to its fallback"""
    base_s: float = Field(default=1.0, gt=0)
    """the first wait is up to this long, each next up to twice as long"""
    cap_s: float = Field(default=60.0, gt=0)
    """the longest wait"""
    on_unknown: Literal["retry", "hold"] = "retry"
    """what to do when a request was sent and no complete answer came"""
    on_invalid: Literal["keep", "retry", "repair", "fail"] = "keep"
    """what to do with an answer that does not follow its schema"""


class WorkerSettings(Strict):
    """How a worker process works."""

    concurrency: int = Field(default=100, gt=0)
    """calls open at once in one process"""
    call_timeout_s: float = Field(default=600.0, gt=0)
    """total deadline round one call, at most"""
    call_timeout_factor: float = Field(default=5.0, ge=0)
    """a call is ended after so many times what 99 of 100 answers of its model took; 0: never so"""
    background_s: float = Field(default=3600.0, gt=0)
    """how long one attempt looks after a response that is made in the background"""
    poll_s: float = Field(default=2.0, gt=0)
    """how often it looks at first; later each tenth of its age, and each half minute"""
    grace_s: float = Field(default=30.0, ge=0)
    """after the first SIGTERM, how long open calls may go on"""
    beat_s: float = Field(default=2.0, gt=0)
    """how often it tells that it lives"""
    group_ms: float = Field(default=5.0, ge=0)
    """how long a commit may wait for company"""
    group_rows: int = Field(default=50, gt=0)
    """most rows of one commit"""
    traces: bool = False
    """a span of each call by OpenTelemetry, sent where its own variables say"""
    request_log: Path | None = None
    """folder for a line of JSON about each call; None: none is written"""
    request_log_bodies: bool = False
    """requests and answers are in it too"""
    request_log_days: float = Field(default=7.0, gt=0)
    """how long its files are kept"""
    spool_dir: Path | None = None
    """where answers are kept while SQL is away; default: `answers` in the state folder"""
    spool_bytes: Annotated[int, BeforeValidator(parse_amount), Field(gt=0)] = 2**30
    """how much one process keeps there"""


class DispatchSettings(Strict):
    """How the dispatcher and the sweeper work."""

    interval_s: float = Field(default=0.25, gt=0)
    """between two looks at what is due"""
    depth_s: float = Field(default=10.0, gt=0)
    """a queue holds about this many seconds of work"""
    depth_min: int = Field(default=50, gt=0)
    """hints that a queue holds at least, while there are jobs"""
    depth_max: int = Field(default=10_000, gt=0)
    """hints in all queues together, about a kilobyte of Redis each"""
    lease_s: float = Field(default=60.0, gt=0)
    """a worker whose beat stands still for this long is dead"""
    sweep_s: float = Field(default=5.0, gt=0)
    """between two looks for dead workers and lost hints"""
    hint_age_s: float = Field(default=10.0, gt=0)
    """a queued job that nobody holds for this long is hinted again"""
    leader_s: float = Field(default=10.0, gt=0)
    """a dispatcher whose beat stands still for this long has lost the lead"""


class CacheSettings(Strict):
    """How a worker compares requests, where a batch takes answers to similar ones."""

    embedder: str = Field(default="local", pattern=r"^(local|[\w.]+:[A-Za-z_]\w*|[\w-]+/\S+)$")
    """`local`, a model as `provider/model`, or a Python function, `package.module:function`: from
    texts to vectors"""
    entries: int = Field(default=50_000, gt=0)
    """vectors that a worker process holds in memory"""

    @property
    def asked(self) -> tuple[str, str] | None:
        """Name the provider and the model that are asked for vectors; None: nobody is."""
        provider, slash, model = self.embedder.partition("/")
        return (provider, model) if slash else None


class GatewaySettings(Strict):
    """What `promptmill serve` takes from its clients."""

    file_bytes: Annotated[int, BeforeValidator(parse_amount), Field(gt=0)] = 200_000_000
    """of one file"""
    lines: Annotated[int, BeforeValidator(parse_amount), Field(gt=0)] = 50_000
    """of a file that a batch is made of"""
    file_days: float = Field(default=30.0, gt=0)
    """how long files are kept"""
    body_bytes: Annotated[int, BeforeValidator(parse_amount), Field(gt=0)] = 1_000_000
    """of a request that is no upload"""
    live_s: float = Field(default=600.0, gt=0)
    """how long a client may wait for the answer to a live call"""
    rpm: int | None = Field(default=None, gt=0)
    """requests a minute of one tenant, where it has no rate of its own; None: any"""
    idle_s: float = Field(default=30.0, gt=0)
    """how long a client may send nothing, or take nothing, in the middle of a request"""
    connections: int = Field(default=1000, gt=0)
    """open at once; one more is answered with 503"""
    grace_s: float = Field(default=10.0, ge=0)
    """after SIGTERM, how long open requests may go on"""


class LaneSettings(Strict):
    """How jobs go by the providers' batch APIs."""

    jobs: int = Field(default=10_000, gt=0)
    """in one provider batch, at most"""
    bytes: Annotated[int, BeforeValidator(parse_amount), Field(gt=0)] = 50_000_000
    """of requests in one provider batch, at most: a worker holds them in memory"""
    window_s: float = Field(default=86_400.0, gt=0)
    """how long a provider batch may take"""
    margin_s: float = Field(default=3600.0, ge=0)
    """so long before the deadline, and what it takes to ask live, jobs leave the lane"""
    interval_s: float = Field(default=2.0, gt=0)
    """how often the lane looks for jobs"""
    poll_s: float = Field(default=30.0, gt=0)
    """from the first look at a provider batch to the second; then longer"""
    poll_max_s: float = Field(default=300.0, gt=0)
    """from one look to the next, at most"""
    settle_s: float = Field(default=900.0, ge=0)
    """so long after it was begun to be handed in, a provider shows a provider batch that it has"""


class CheckSettings(Strict):
    """What prompts should not have in them when they are submitted."""

    policy: Literal["off", "flag", "error"] = "off"
    """nothing is looked for, prompts that have it are marked, or the input is refused"""
    rules: tuple[Literal["control", "script", "template", "injection"], ...] = (
        "control",
        "script",
        "template",
        "injection",
    )
    """what is looked for: control characters, scripts, template marks, known injections"""
    phrases: tuple[str, ...] = ()
    """looked for as well, whatever their case"""
    max_characters: int | None = Field(default=None, gt=0)
    """of all texts in a prompt together; None: any number"""


BLANK = "blank"
"""A model that knows no names."""


class PiiSettings(Strict):
    """What finds personal data where a batch masks it."""

    masker: Literal["own", "presidio"] = "own"
    """our own shapes, or these and presidio beside them"""
    model: str = Field(default="en_core_web_lg", min_length=1)
    """of spaCy, for presidio: a package that is installed, a folder, or `blank`"""
    language: str = Field(default="en", pattern=r"^[a-z]{2,3}$")
    """of the texts, for presidio"""
    score: float = Field(default=0.5, ge=0, le=1)
    """how sure presidio has to be"""
    entities: tuple[str, ...] = ()
    """what presidio looks for, by its own names; none: all but dates and URLs"""


class FallbackSettings(Strict):
    """Another model that is asked."""

    to: str = Field(min_length=1)
    """as -m has it"""
    when: tuple[When, ...] = Field(default=USUAL, min_length=1)


FallbackList = Annotated[tuple[FallbackSettings, ...], BeforeValidator(from_json)]


class RetentionSettings(Strict):
    """When the leading dispatcher prunes batches that have ended."""

    days: float | None = Field(default=None, gt=0)
    """so long after its last prompt ended, a batch is pruned; None: never"""
    keep_answers: bool = False
    """only prompts and earlier attempts go"""
