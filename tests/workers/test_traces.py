"""Spans of real calls, as an OpenTelemetry receiver gets them."""

import signal
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.services.running_mill import OPENAI, RunningMill
from tests.services.waiting import wait_until


class Receiver(ThreadingHTTPServer):
    """Takes OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self, batch: int) -> list[tuple[Any, dict[str, Any]]]:
        """Read the spans of *batch*, each with its attributes."""
        found = [
            (span, {each.key: _value(each.value) for each in span.attributes})
            for body in self.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return [each for each in found if each[1]["promptmill.batch_id"] == batch]


class Taking(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_every_call_is_a_span_and_no_prompt_is_in_it(mill: RunningMill, receiver: Receiver) -> None:
    worker = mill.start_worker(
        OPENAI,
        env={
            "PROMPTMILL_WORKER__TRACES": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        },
    )
    mill.simulator.add_fault("server_error", contains="trace me", count=1)
    batch = mill.load(say="trace me")
    mill.wait_done(batch)
    wait_until(lambda: len(receiver.spans(batch)) == 2, "two spans")
    (refused, why), (answered, told) = sorted(
        receiver.spans(batch), key=lambda each: each[1]["promptmill.fence"]
    )
    assert refused.name == answered.name == "chat gpt-4o-mini"
    assert why["http.response.status_code"] == 500
    assert why["error.type"]
    assert refused.status.code == 2
    assert "error.type" not in told
    (row,) = mill.sql(f"select * from promptmill_results where batch_id = {batch}")
    assert told["gen_ai.usage.output_tokens"] == row["output_tokens"]
    assert told["gen_ai.response.finish_reasons"] == ["stop"]
    assert told["promptmill.job_id"] == row["job_id"]
    took_ms = (answered.end_time_unix_nano - answered.start_time_unix_nano) / 1e6
    assert took_ms == pytest.approx(row["latency_ms"], abs=1)
    assert not [body for body in receiver.bodies if mill.canary.encode() in body]
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
