"""What can be made to go wrong, and the rules that say when."""

from collections.abc import Iterable
from enum import StrEnum
from random import Random
from typing import Annotated

import msgspec

from promptmill.simulator.provider import Provider


class Trouble(StrEnum):
    """A refusal with the provider's own status and body. docs: the error tables of each API."""

    INVALID_REQUEST = "invalid_request"
    CONTEXT_LENGTH = "context_length"
    CONTENT_POLICY = "content_policy"
    BAD_KEY = "bad_key"
    """401; Gemini says 400 API_KEY_INVALID"""
    UNAUTHORIZED = "unauthorized"
    """401 from all three"""
    PAYMENT_REQUIRED = "payment_required"
    FORBIDDEN = "forbidden"
    MODEL_NOT_FOUND = "model_not_found"
    REQUEST_TIMEOUT = "request_timeout"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    UNPROCESSABLE = "unprocessable"
    RATE = "rate"
    RAMP = "ramp"
    MONEY = "money"
    DAILY = "daily"
    SERVER_ERROR = "server_error"
    BAD_GATEWAY = "bad_gateway"
    UNAVAILABLE = "unavailable"
    GATEWAY_TIMEOUT = "gateway_timeout"
    OVERLOADED = "overloaded"
    """529 from Anthropic, 503 from the others, which have no 529"""


class Accident(StrEnum):
    """An answer that does not arrive as it should."""

    HANG = "hang"
    """no answer, ever; not billed"""
    DRIP = "drip"
    """the body comes one byte each `interval_s`"""
    CUT = "cut"
    """the connection is closed after `after_bytes` of the body, or `after_events` of a stream"""
    STALL = "stall"
    """the same, but the connection stays open, and nothing more comes"""
    STREAM_ERROR = "stream_error"
    """after `after_events` an error follows, `body` or that the model is overloaded; an answer that
    is not streamed comes whole"""
    RESET = "reset"
    """TCP reset in place of the answer"""
    GARBAGE = "garbage"
    """bytes that are not HTTP"""
    EMPTY = "empty"
    """200 without a body"""
    HTML = "html"
    """200 with a web page"""
    EMPTY_OBJECT = "empty_object"
    """200 with {}"""
    TRUNCATED = "truncated"
    """200 with the first half of the JSON, or of the events, as if it were all"""
    NUL = "nul"
    """a NUL in the text, as a JSON escape"""
    SURROGATE = "surrogate"
    """half of a surrogate pair in the text, as a JSON escape"""
    MISFIT = "misfit"
    """JSON that is no object, whatever was asked for"""
    DROPPED = "dropped"
    """a row of a batch that never comes back"""
    EXPIRED = "expired"
    """a row that its batch did not get to in time; as `batches.run`, the second half of a batch.
    Not billed"""
    RAW = "raw"
    """`status`, `body` and `content_type` as the rule gives them"""


Kind = Trouble | Accident
_KINDS: dict[str, Kind] = {kind.value: kind for kind in (*Trouble, *Accident)}
Count = Annotated[int, msgspec.Meta(ge=1)]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule: play *kind* for requests that match every condition given."""

    kind: str
    """a value of Trouble or Accident"""
    provider: Provider | None = None
    model: str | None = None
    """part of the model's name; or what is asked of a batch API, such as `batches.create`"""
    contains: str | None = None
    """part of the prompt's text"""
    probability: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    every: Count | None = None
    """each n-th of the requests that match otherwise"""
    count: Count | None = None
    """play it this many times, then never again"""
    retry_after: str | None = None
    """sent as it is; may be nonsense"""
    after_bytes: Annotated[int, msgspec.Meta(ge=0)] = 20
    after_events: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """None: after half of them"""
    interval_s: Annotated[float, msgspec.Meta(gt=0)] = 0.1
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] = 200
    body: str = ""
    content_type: str = "application/json"
    billed: bool | None = None
    """None: accidents are billed, except a hang, what expired, and a raw error; troubles are not"""

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            msg = f"no fault is called {self.kind!r}; there are: {', '.join(_KINDS)}"
            raise ValueError(msg)

    @property
    def what(self) -> Kind:
        """The kind as an enum member."""
        return _KINDS[self.kind]

    @property
    def is_billed(self) -> bool:
        """Whether the provider charges for a call that went like this."""
        if self.billed is not None:
            return self.billed
        match self.what:
            case Accident.HANG | Accident.EXPIRED:
                return False
            case Accident.RAW:
                return self.status < 400
            case Accident():
                return True
            case Trouble():
                return False


class _Rule:
    """A fault and how often it matched and was played."""

    __slots__ = ("fault", "matched", "played")

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.matched = 0
        self.played = 0

    def plays(self, provider: Provider, model: str, text: str, rng: Random) -> bool:
        """Count one request and tell whether the fault is its lot."""
        fault = self.fault
        if fault.count is not None and self.played >= fault.count:
            return False
        if (
            (fault.provider is not None and fault.provider is not provider)
            or (fault.model is not None and fault.model not in model)
            or (fault.contains is not None and fault.contains not in text)
        ):
            return False
        self.matched += 1
        if fault.every is not None and self.matched % fault.every:
            return False
        if fault.probability is not None and rng.random() >= fault.probability:
            return False
        self.played += 1
        return True


class FaultBook:
    """The rules in force, first match wins."""

    def __init__(self, seed: int) -> None:
        self._rng = Random(seed)
        self._rules: list[_Rule] = []

    def add(self, faults: Iterable[Fault]) -> None:
        """Put rules after those already there."""
        self._rules.extend(_Rule(fault) for fault in faults)

    def clear(self) -> None:
        """Drop all rules."""
        self._rules.clear()

    def pick(
        self, provider: Provider, model: str, text: str, *, named: bool = False
    ) -> Fault | None:
        """Return the fault to play for this request; *named*: only one that names its *model*."""
        for rule in self._rules:
            if named and rule.fault.model != model:
                continue
            if rule.plays(provider, model, text, self._rng):
                return rule.fault
        return None
