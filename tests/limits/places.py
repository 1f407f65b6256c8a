"""Accounts with some models, each with other limits: where the machine plays."""

from dataclasses import dataclass
from typing import Any

from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits.limit import Dimension, Scope

RPM, TPM, ITPM, OTPM, RPD, TPD = Dimension


@dataclass(frozen=True)
class Place:
    """An account with some models."""

    kind: ProviderKind
    scopes: tuple[Scope, ...]


def _place(kind: ProviderKind, *scopes: dict[str, Any], **common: Any) -> Place:
    common = {"provider": kind.value, "account": "a", "concurrency": 40, "limits": ()} | common
    return Place(
        kind, tuple(Scope(**{"model": f"m{i}"} | common | s) for i, s in enumerate(scopes))
    )


OPENAI, ANTHROPIC, GEMINI = ProviderKind.OPENAI, ProviderKind.ANTHROPIC, ProviderKind.GEMINI
TIGHT = _place(OPENAI, {"limits": ((RPM, 600), (TPM, 10_000))})
WIDE = _place(ANTHROPIC, {"limits": ((RPM, 1000), (ITPM, 400_000), (OTPM, 80_000))})
UNTOLD = _place(OPENAI, {})
NEVER_TOLD = _place(OPENAI, {})
FEW = _place(OPENAI, {"limits": ((RPM, 60_000), (RPD, 4))}, concurrency=3, day_starts="Etc/GMT+12")
FREE = _place(GEMINI, {"limits": ((RPM, 5),)})
BURST = _place(OPENAI, {"limits": ((RPM, 3000), (TPM, 20_000))}, burst_s=1.0)
SHARED = _place(
    OPENAI,
    {"limits": ((TPM, 30_000),)},
    {"limits": ((RPM, 300),)},
    shared=((RPM, 400), (TPM, 40_000), (RPD, 30)),
)
ONLY_SHARED = _place(OPENAI, {}, {}, shared=((TPM, 20_000), (TPD, 60_000)))
POOL = _place(
    ANTHROPIC,
    {},
    {},
    {"pool": "", "limits": ((RPM, 600),)},
    pool="family",
    limits=((RPM, 300), (OTPM, 30_000)),
)
EVERY_PLACE = (TIGHT, WIDE, UNTOLD, NEVER_TOLD, FEW, FREE, BURST, SHARED, ONLY_SHARED, POOL)
