"""One OpenTelemetry span for each call, by the conventions for generative AI.

Names are those of https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans. Where spans go
is told by OpenTelemetry's own variables, such as OTEL_EXPORTER_OTLP_ENDPOINT. No prompt, answer or
message of a provider is in them.
"""

import time
from collections.abc import Mapping
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from promptmill.schema.moves.endings import Attempted
from promptmill.schema.outcomes import AttemptOutcome, Usage
from promptmill.schema.reading import DueJob
from promptmill.schema.settings import ProviderKind
from promptmill.workers.providers.base import Answer, Refusal

_PROVIDERS = {
    ProviderKind.OPENAI: "openai",
    ProviderKind.ANTHROPIC: "anthropic",
    ProviderKind.GEMINI: "gcp.gemini",
}
_STOP_MS = 5000
"""how long the last spans may take to be sent when the worker stops"""


class Tracing:
    """Makes spans, which a thread of its own sends in groups."""

    def __init__(self) -> None:
        named = Resource({SERVICE_NAME: "promptmill"}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=named, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("promptmill")

    def record(
        self,
        kind: ProviderKind,
        job: DueJob,
        fence: int,
        reply: Answer | Refusal,
        attempted: Attempted,
    ) -> None:
        """Make the span of a call that has just ended."""
        ended_ns = time.time_ns()
        span = self._tracer.start_span(
            f"chat {job.model}",
            kind=SpanKind.CLIENT,
            start_time=ended_ns - (attempted.latency_ms or 0) * 1_000_000,
            attributes=_attributes(kind, job, fence, reply, attempted),
        )
        if attempted.outcome is not AttemptOutcome.SUCCEEDED:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended_ns)

    def close(self) -> None:
        """Send what is left, for some seconds at most. Blocks."""
        self._provider.force_flush(_STOP_MS)
        self._provider.shutdown()


def _attributes(
    kind: ProviderKind, job: DueJob, fence: int, reply: Answer | Refusal, attempted: Attempted
) -> Mapping[str, Any]:
    told: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS[kind],
        "gen_ai.request.model": job.model,
        "promptmill.provider": job.provider,
        "promptmill.batch_id": job.batch_id,
        "promptmill.job_id": job.job_id,
        "promptmill.fence": fence,
        "promptmill.outcome": attempted.outcome.name.lower(),
        "promptmill.request_id": attempted.request_id,
        "http.response.status_code": attempted.http_status,
    }
    if attempted.cost_micros is not None:
        told["promptmill.cost_usd"] = attempted.cost_micros / 1e6
    if isinstance(reply, Answer):
        told["gen_ai.response.model"] = reply.response_model
        told["gen_ai.response.id"] = reply.response_id
        told["gen_ai.response.finish_reasons"] = (reply.finish_reason,)
    else:
        told["error.type"] = reply.code or str(reply.kind)
    known = told | _tokens(attempted.usage)
    return {name: value for name, value in known.items() if value is not None}


def _tokens(usage: Usage | None) -> dict[str, int]:
    if usage is None:
        return {}
    return {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
    }
