"""Every metric, in one table: name, kind, meaning, labels. docs/monitoring.md has the same.

Labels are from closed sets: providers, models, fingerprints of keys, our own words, and the numbers
of batches that are under way. The names that begin with `llm_` are those that dashboards for any
LLM service use; the others are ours.
"""

from typing import Literal, NamedTuple

_MODEL = ("provider", "model")
_SCOPE = ("provider", "model", "account")
_LIMIT = ("provider", "model", "account", "dimension")
_ACCOUNT = ("provider", "account")


class Metric(NamedTuple):
    """A line of the table."""

    name: str
    """without the `_total` that a counter ends with"""
    kind: Literal["gauge", "counter", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()

    @property
    def shown_name(self) -> str:
        """The name as Prometheus knows it."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


LIMIT_CONFIGURED = Metric(
    "promptmill_limit_configured", "gauge", "Limit by settings, or set live.", _LIMIT
)
LIMIT_TOLD = Metric(
    "promptmill_limit_told", "gauge", "Limit told by the provider's headers.", _LIMIT
)
LIMIT_ENFORCED = Metric("promptmill_limit_enforced", "gauge", "Limit that holds.", _LIMIT)
LIMIT_LEVEL = Metric("promptmill_limit_level", "gauge", "Permits at hand; below 0 is debt.", _LIMIT)
LIMIT_USED = Metric("promptmill_limit_used_today", "gauge", "Used of a limit by the day.", _LIMIT)
LIMIT_RATE = Metric(
    "promptmill_limit_permits_per_second", "gauge", "Permits let through a second.", _LIMIT
)
RATE_RATIO = Metric(
    "promptmill_limit_rate_ratio", "gauge", "Share of the limits let through; 1 = all.", _SCOPE
)
PAUSED = Metric(
    "promptmill_limit_paused_seconds", "gauge", "Until calls go on; +Inf: until told.", _SCOPE
)
QUEUED = Metric("promptmill_limit_queued_seconds", "gauge", "Work that waits for a start.", _SCOPE)
IN_FLIGHT = Metric(
    "promptmill_calls_in_flight", "gauge", "Calls booked or under way, over all workers.", _ACCOUNT
)
CONCURRENCY = Metric(
    "promptmill_calls_in_flight_limit", "gauge", "Calls that may be in flight.", _ACCOUNT
)
JOBS = Metric("promptmill_jobs", "gauge", "Jobs of all batches.", (*_MODEL, "state"))
OLDEST = Metric(
    "promptmill_oldest_waiting_seconds", "gauge", "Age of the oldest batch with jobs left.", _MODEL
)
ATTEMPTS = Metric("promptmill_attempts", "counter", "Calls that were made and have ended.", _MODEL)
ANSWERS = Metric("promptmill_answers", "counter", "Calls that were answered.", _MODEL)
REFUSALS = Metric(
    "promptmill_refusals", "counter", "Calls that ended with an error.", (*_MODEL, "kind")
)
UNKNOWN = Metric(
    "promptmill_unknown_attempts", "gauge", "Calls that were sent, without an answer.", _MODEL
)
TOKENS = Metric("promptmill_tokens", "counter", "Tokens that were used.", (*_MODEL, "direction"))
COST = Metric("promptmill_cost_dollars", "counter", "Cost, where the price is known.", _MODEL)
UNPRICED = Metric(
    "promptmill_unpriced_answers", "counter", "Answers whose price is not known.", _MODEL
)
CACHE_HITS = Metric(
    "promptmill_cache_hits", "counter", "Jobs that took the answer of another.", _MODEL
)
CACHE_MISSES = Metric(
    "promptmill_cache_misses", "counter", "Answers that had to be bought, beside a cache.", _MODEL
)
FIRST_TOKEN = Metric(
    "promptmill_first_token_seconds", "histogram", "First token of streamed answers.", ("model",)
)
LLM_REQUESTS = Metric(
    "llm_requests", "counter", "Calls that were answered or refused.", ("model", "status")
)
LLM_LATENCY = Metric(
    "llm_request_latency_seconds", "histogram", "Latency of calls that were answered.", ("model",)
)
LLM_TOKENS = Metric("llm_tokens", "counter", "Tokens that were used.", ("model", "type"))
BATCH_JOBS = Metric(
    "promptmill_batch_jobs", "gauge", "Jobs of a batch under way.", ("batch", "state")
)
HINTS = Metric("promptmill_queue_hints", "gauge", "Messages in a provider's queue.", ("provider",))
WORKERS = Metric(
    "promptmill_workers", "gauge", "Worker processes that beat and have a key.", ("provider",)
)
LEADER = Metric("promptmill_leader", "gauge", "1: this dispatcher leads; 0: it stands by.")
SPOOL_FILES = Metric(
    "promptmill_spool_files", "gauge", "Files of answers that SQL has not taken.", ("kind",)
)
WEBHOOKS = Metric(
    "promptmill_webhook_deliveries", "gauge", "Webhooks of the last 30 days.", ("state",)
)
SCHEDULES = Metric("promptmill_schedules", "gauge", "Schedules.", ("state",))
SERVICE_UP = Metric(
    "promptmill_service_up", "gauge", "Whether this dispatcher could read it.", ("service",)
)

METRICS = (
    LIMIT_CONFIGURED,
    LIMIT_TOLD,
    LIMIT_ENFORCED,
    LIMIT_LEVEL,
    LIMIT_USED,
    LIMIT_RATE,
    RATE_RATIO,
    PAUSED,
    QUEUED,
    IN_FLIGHT,
    CONCURRENCY,
    JOBS,
    OLDEST,
    ATTEMPTS,
    ANSWERS,
    REFUSALS,
    UNKNOWN,
    TOKENS,
    COST,
    UNPRICED,
    CACHE_HITS,
    CACHE_MISSES,
    FIRST_TOKEN,
    LLM_REQUESTS,
    LLM_LATENCY,
    LLM_TOKENS,
    BATCH_JOBS,
    HINTS,
    WORKERS,
    LEADER,
    SPOOL_FILES,
    WEBHOOKS,
    SCHEDULES,
    SERVICE_UP,
)
