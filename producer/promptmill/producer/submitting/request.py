"""What is to be submitted, what it is before anything is stored, and what became of it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import chain
from pathlib import Path

from promptmill.producer.control import MOST_PRIORITY
from promptmill.producer.estimate.budgets import Budget, Routes
from promptmill.producer.reading import Checked, ReadOptions
from promptmill.producer.submitting.answer_cache import AnswerCache
from promptmill.producer.submitting.lane_order import LaneOrder
from promptmill.schema.answer_forms import OnInvalid
from promptmill.schema.errors import UsageError
from promptmill.schema.instants import iso
from promptmill.schema.pii.values import MaskPii
from promptmill.schema.settings import FallbackSettings
from promptmill.schema.truncation import Truncation

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A time of a schedule."""

    schedule_id: int
    at: datetime

    @property
    def order(self) -> str:
        """Make its batch another than those of all other times."""
        return f"schedule {self.schedule_id} at {iso(self.at)}"


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """What is to be submitted, as it was typed."""

    source: str | Path
    """a path, or `-` for standard input"""
    reading: ReadOptions = field(default_factory=ReadOptions)
    also: tuple[str, ...] = ()
    """models that are asked the same, besides the one of *reading*"""
    dedupe: bool = False
    """ask equal prompts once"""
    name: str | None = None
    """for people; None: the name of the file"""
    priority: int = 0
    """-100 to 100; above 0 goes before all others"""
    on_unknown: str | None = None
    """`retry` or `hold`; None: as the settings say"""
    on_invalid: str | None = None
    """`keep`, `retry`, `repair` or `fail`; None: as the settings say"""
    max_failures: str | None = None
    """`200` or `5%`: so many failed prompts pause it. `none` allows all; None leaves a batch that
    is there as it is"""
    cache: AnswerCache | None = None
    """which answers of other jobs it takes; None: as before, and a new one none"""
    order: str | None = None
    """id of the client's order that it is: another order of the same input is another batch"""
    checks: str | None = None
    """`off`, `flag` or `error`; None: as the settings say"""
    mask_pii: MaskPii | None = None
    """where personal data is masked"""
    fallbacks: tuple[FallbackSettings, ...] | None = None
    """which other models are asked, and when; None: as before, and a new one as the settings say"""
    truncation: Truncation | None = None
    """how prompts are cut that are too long; None: as before, and of a new one none is"""
    tenant_id: int | None = None
    """whose order"""
    lane: LaneOrder | None = None
    """how it is asked, and by when; None: as before, and a new one live"""
    scheduled: Scheduled | None = None
    """for which time of a schedule it is; None: it is submitted by hand"""
    webhook: str | None = None
    """address that hears of its end, or `none`; None: as before, and of a new one nobody"""
    waited_by: str | None = None
    """the gateway whose client waits for it; None: nobody waits"""
    new: bool = False
    """make another batch where there is one of this input already"""
    budget: Budget | None = None
    """what it may cost; None: as before, and a new one anything"""


class How(StrEnum):
    """How a submit came to its batch."""

    NEW = "new"
    RESUMED = "resumed"
    """an earlier submit had been killed, and this one went on with its batch"""
    REUSED = "reused"
    """it was submitted before"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an input is, before anything of it is stored."""

    name: str
    """of the input"""
    checked: Checked
    routes: Routes
    known: bool = False
    """there is a batch of it already"""

    @property
    def providers(self) -> frozenset[str]:
        """Those that are asked, pools among them."""
        return frozenset(found.provider for found in chain.from_iterable(self.routes.values()))


@dataclass(frozen=True, slots=True)
class Submitted:
    """The batch that holds the input."""

    batch_id: int
    name: str
    total: int
    how: How
    kind: str
    """what the input was taken for, in words: `CSV`"""
    goes_on: bool = False
    """its budget had paused it, and does no more"""
    twins: int = 0
    """jobs that are not asked, since another asks the same; counted when they are stored"""


def check_request(request: SubmitRequest) -> None:
    """Refuse what no submit can do. Raises UsageError."""
    if abs(request.priority) > MOST_PRIORITY:
        msg = f"the priority {request.priority} is not from -{MOST_PRIORITY} to {MOST_PRIORITY}"
        raise UsageError(msg)
    name = request.name
    if name is not None and not (name.isprintable() and 0 < len(name) <= _LONGEST_NAME):
        msg = f"the name is not one of 1 to {_LONGEST_NAME} printable characters: {name[:80]!r}"
        raise UsageError(msg)
    if request.on_unknown not in (None, "retry", "hold"):
        msg = f"on_unknown is {request.on_unknown!r}, and must be 'retry' or 'hold'"
        raise UsageError(msg)
    if request.on_invalid not in (None, *OnInvalid):
        msg = f"on_invalid is {request.on_invalid!r}, and must be one of {', '.join(OnInvalid)}"
        raise UsageError(msg)
