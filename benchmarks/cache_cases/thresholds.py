"""Which of the labelled pairs are taken for the same, by threshold."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from benchmarks.cache_cases.alike import Pair, pairs
from benchmarks.common.figures import judged
from promptmill.schema.provider_kinds import ProviderKind
from promptmill.schema.provider_settings import ProviderSettings
from promptmill.schema.secret import Secret
from promptmill.workers.providers.http import open_http
from promptmill.workers.served import Served, serve
from promptmill.workers.similar.embedder import LOCAL, Embedder
from promptmill.workers.similar.split import Split, split

_THRESHOLDS = (0.80, 0.85, 0.90, 0.95, 0.97, 0.99)


def similar_by_threshold(embedder: str = LOCAL) -> Iterator[dict[str, Any]]:
    """Judge all pairs; an object for each threshold. Nothing is demanded: people choose."""
    measured = list(similarities(embedder))
    for threshold in _THRESHOLDS:
        taken: defaultdict[bool, Counter[str]] = defaultdict(Counter)
        for pair, similarity in measured:
            taken[pair.same][pair.kind] += similarity >= threshold
        counts = Counter(pair.same for pair, _ in measured)
        figures = {
            "threshold": threshold,
            "same": counts[True],
            "found": taken[True].total(),
            "found_share": taken[True].total() / counts[True],
            "others": counts[False],
            "false_hits": taken[False].total(),
            "false_share": taken[False].total() / counts[False],
            "found_by_kind": dict(taken[True]),
            "false_by_kind": dict(taken[False]),
        }
        yield judged("similar", figures, {})


def similarities(name: str) -> Iterator[tuple[Pair, float]]:
    """Compare both of each pair: 0 where their scopes differ, since they never meet."""
    served, embedder = _served(), Embedder(name)
    for pair in pairs():
        one, other = (_split(served, text, name) for text in (pair.one, pair.other))
        vectors = embedder.vectors([one.text, other.text])
        yield pair, float(vectors[0] @ vectors[1]) if one.scope == other.scope else 0.0


def _split(served: Served, text: str, embedder: str) -> Split:
    body = {"messages": [{"role": "user", "content": text}]}
    found = split(served, "gpt-4o-mini", body, embedder=embedder)
    if found is None:
        msg = f"it cannot be compared: {text}"
        raise ValueError(msg)
    return found


def _served() -> Served:
    settings = ProviderSettings(kind=ProviderKind.OPENAI, api_key=Secret("sk-bench"))
    return serve("openai", settings, open_http(concurrency=1))
