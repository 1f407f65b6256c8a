"""All there is to tell of a batch: progress, each model by itself, and why jobs failed."""

from collections.abc import Mapping
from dataclasses import dataclass

from promptmill.producer.latency import Percentiles, merged, percentiles
from promptmill.producer.progress import ALL, Progress, Tally, read_progress, tally_of
from promptmill.schema.answers import FailureGroup, failures_of
from promptmill.schema.course import latencies
from promptmill.schema.database import Database
from promptmill.schema.reading import batch_counts, batch_usage


@dataclass(frozen=True, slots=True)
class Overview:
    """A batch at one moment."""

    progress: Progress
    scopes: tuple[Tally, ...]
    """each named `provider model`"""
    latency: Mapping[str, Percentiles]
    """by the names of `scopes`, and ALL; without those that have no answer"""
    failures: tuple[FailureGroup, ...]
    """the most frequent first, at most 20"""

    @property
    def failures_counted(self) -> int | None:
        """How many failed jobs were looked at for `failures`; None: all of them."""
        counted = sum(group.jobs for group in self.failures)
        return counted if counted < self.progress.overall.failed else None


def read_overview(database: Database, batch_id: int) -> Overview:
    """Read all there is to tell. Raises UsageError for a batch that is not there."""
    progress = read_progress(database, batch_id)
    with database.read() as connection:
        counts = batch_counts(connection, batch_id)
        usage = batch_usage(connection, batch_id)
        failures = failures_of(connection, batch_id)
        histograms = {
            " ".join(scope): one for scope, one in latencies(connection, batch_id).items()
        }
    histograms[ALL] = merged(histograms.values())
    found = {name: percentiles(one) for name, one in histograms.items()}
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
        latency={name: one for name, one in found.items() if one is not None},
        failures=tuple(failures),
    )
