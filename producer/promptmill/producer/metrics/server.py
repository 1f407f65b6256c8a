"""Serve `/metrics` for Prometheus from a dispatcher, where the settings name a port."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock

import structlog
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from promptmill.producer.limits.reading import LimitReader
from promptmill.producer.metrics.queue_reading import QueueReader
from promptmill.producer.metrics.spread import Spread
from promptmill.producer.metrics.table import METRICS, Metric
from promptmill.producer.metrics.values import MetricsReader, Sample
from promptmill.schema.broker import redis_url
from promptmill.schema.database import Database
from promptmill.schema.settings import Settings

_log = structlog.get_logger(__name__)
_FRESH_S = 1.0
"""who asks again sooner gets the same values: many scrapers cost what one does"""
_SQL_S = 2.0
"""how long a statement may take on PostgreSQL"""
Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
_FAMILIES: Mapping[str, type[Family]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


class MillCollector(Collector):
    """Reads all metrics when they are asked for; *clock* is monotonic, in seconds."""

    def __init__(
        self, read: Callable[[], Iterable[Sample]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read, self._clock = read, clock
        self._lock = Lock()
        self._families: list[Family] = []
        self._old_at = clock()

    def collect(self) -> list[Family]:
        """Read, or return what was read within the last second."""
        with self._lock:
            if self._clock() >= self._old_at:
                self._families = _families(self._read())
                self._old_at = self._clock() + _FRESH_S
            return self._families


@contextmanager
def served_metrics(settings: Settings, *, leads: Callable[[], bool]) -> Iterator[int | None]:
    """Serve metrics while the block lasts, if the settings name a port; yield that, or None.

    A port that is taken is logged and ends nothing: feeding the queues matters more.
    """
    if settings.metrics_port is None:
        yield None
        return
    database = Database.from_settings(settings, pool_size=1, patience_s=_SQL_S)
    limits = LimitReader(redis_url(settings), prefix=settings.key_prefix)
    queues = QueueReader(settings)
    reader = MetricsReader(settings, database, limits, queues, leads)
    try:
        collector = MillCollector(reader.read)
        with _served(settings.metrics_host, settings.metrics_port, collector) as port:
            yield port
    finally:
        limits.close()
        queues.close()
        database.close()


@contextmanager
def _served(host: str, port: int, collector: Collector) -> Iterator[int | None]:
    registry = CollectorRegistry()
    registry.register(collector)
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        _log.error("metrics not served", host=host, port=port, error=str(error))
        yield None
        return
    _log.info("metrics served", host=host, port=server.server_port)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _families(samples: Iterable[Sample]) -> list[Family]:
    families = {metric: _family(metric) for metric in METRICS}
    for metric, labels, value in samples:
        _add(families[metric], labels, value)
    return list(families.values())


def _add(family: Family, labels: Sequence[str], value: float | Spread) -> None:
    if isinstance(family, HistogramMetricFamily):
        assert isinstance(value, Spread)  # noqa: S101  as the table of metrics says
        family.add_metric(labels, value.buckets, value.sum_s)
    else:
        assert not isinstance(value, Spread)  # noqa: S101
        family.add_metric(labels, value)


def _family(metric: Metric) -> Family:
    return _FAMILIES[metric.kind](metric.name, metric.meaning, labels=metric.labels)
