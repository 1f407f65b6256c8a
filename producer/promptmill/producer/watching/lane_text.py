"""What lies at the providers' batch APIs, in words."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC

from promptmill.schema.provider_batches import ProviderBatch


def lane_lines(there: Sequence[ProviderBatch]) -> Iterator[str]:
    """Tell of each provider how many jobs are at its batch API, since when, and how many are on
    their way.
    """
    by_provider: defaultdict[str, list[ProviderBatch]] = defaultdict(list)
    for one in there:
        by_provider[one.provider].append(one)
    for provider, batches in sorted(by_provider.items()):
        yield from _lines(provider, batches)


def _lines(provider: str, batches: Sequence[ProviderBatch]) -> Iterator[str]:
    sent = [one for one in batches if one.sent_at is not None]
    if sent:
        jobs, done = sum(one.jobs for one in sent), sum(one.done for one in sent)
        since = min(one.sent_at for one in sent if one.sent_at is not None)
        told = f", {done:,} of them done" if done else ""
        yield (
            f"{jobs:,} at {provider}'s batch API since"
            f" {since.astimezone(UTC):%Y-%m-%d %H:%M} UTC{told}"
        )
    waiting = sum(one.jobs for one in batches if one.sent_at is None)
    if waiting:
        yield f"{waiting:,} on their way to {provider}'s batch API"
    for problem in sorted({one.problem for one in batches if one.problem}):
        yield f"  {provider} said: {problem}; it is tried again"
