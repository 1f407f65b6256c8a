"""All there is to tell of a batch: progress, each model by itself, and why jobs failed."""

from collections.abc import Mapping

import msgspec

from promptmill.producer.watching.latency import Histogram, Percentiles, merged, percentiles
from promptmill.producer.watching.progress import ALL, Progress, Tally, read_progress, tally_of
from promptmill.schema.answers import FailureGroup, failures_of
from promptmill.schema.connection import Source
from promptmill.schema.course import first_tokens, latencies
from promptmill.schema.pools import NO_POOLS, Pools
from promptmill.schema.reading import batch_counts, batch_usage


class Overview(msgspec.Struct, frozen=True):
    """A batch at one moment."""

    progress: Progress
    scopes: tuple[Tally, ...]
    """each named `provider model`"""
    latency: Mapping[str, Percentiles]
    """by the names of `scopes`, and ALL; without those that have no answer"""
    first_token: Mapping[str, Percentiles]
    """the same of the first tokens of streamed answers"""
    failures: tuple[FailureGroup, ...]
    """the most frequent first, at most 20"""

    @property
    def failures_counted(self) -> int | None:
        """How many failed jobs were looked at for `failures`; None: all of them."""
        counted = sum(group.jobs for group in self.failures)
        return counted if counted < self.progress.overall.failed else None


def read_overview(database: Source, batch_id: int, pools: Pools = NO_POOLS) -> Overview:
    """Read all there is to tell. Raises UsageError for a batch that is not there."""
    progress = read_progress(database, batch_id, pools)
    with database.read() as connection:
        counts = batch_counts(connection, batch_id)
        usage = batch_usage(connection, batch_id)
        failures = failures_of(connection, batch_id)
        latency = _by_name(latencies(connection, batch_id))
        first_token = _by_name(first_tokens(connection, batch_id))
    scopes = sorted({(count.provider, count.model) for count in counts})
    return Overview(
        progress=progress,
        scopes=tuple(
            tally_of(
                f"{provider} {model}",
                [one for one in counts if (one.provider, one.model) == (provider, model)],
                [one for one in usage if (one.provider, one.model) == (provider, model)],
            )
            for provider, model in scopes
        ),
        latency=latency,
        first_token=first_token,
        failures=tuple(failures),
    )


def _by_name(found: Mapping[tuple[str, str], Histogram]) -> dict[str, Percentiles]:
    histograms = {" ".join(scope): one for scope, one in found.items()}
    histograms[ALL] = merged(histograms.values())
    read = {name: percentiles(one) for name, one in histograms.items()}
    return {name: one for name, one in read.items() if one is not None}
