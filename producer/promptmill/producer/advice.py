"""What to do about what went wrong: one line for each kind of error and of pause."""

from promptmill.schema.answers import FailureGroup
from promptmill.schema.environment import key_variable
from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.pauses import Pause
from promptmill.schema.states import JobState

_GIVEN_UP = "given up without an answer, as too old or because its workers died"
_FAILED: dict[str | None, str] = {
    ErrorKind.RATE: "refused too often: set lower limits for the provider, then {retry}",
    ErrorKind.OVERLOADED: "the provider was busy for too long: {retry} when it is calmer",
    ErrorKind.DAILY: "the daily quota is used up: raise it with the provider, then {retry}",
    ErrorKind.TRANSIENT: "the provider failed each time: {retry} when it is well again",
    ErrorKind.UNKNOWN: "sent, and no answer came; it may have been billed: {retry} sends it again",
    ErrorKind.BAD_RESPONSE: "paid, and the answer cannot be used: {retry} pays once more",
    ErrorKind.MONEY: "there is no credit left: add some, then {retry}",
    ErrorKind.KEY: "the key is refused: give the workers another, then {retry}",
    ErrorKind.REQUEST: "no provider would answer it: mend these lines and submit them again",
    None: _GIVEN_UP + ": {retry}",
}
_HELD = "held for you, since it may have been billed already: {retry} sends it again"


def what_to_do(group: FailureGroup, batch_id: int) -> str:
    """Say what to do about jobs that failed for the same reason."""
    is_held = group.state == JobState.QUARANTINED.word
    advice = _HELD if is_held else _FAILED.get(group.error_kind, "look at one, then {retry}")
    return advice.format(retry=f"`promptmill retry {batch_id}`")


def how_to_resume(pause: Pause, *, resume: str | None = None) -> str:
    """Say what ends a pause of a provider; *resume* stands for `promptmill resume`."""
    if pause.until_at is not None:
        return "goes on by itself"
    resume = resume or f"`promptmill resume {pause.provider}`"
    variable = key_variable(pause.provider)
    match pause.kind:
        case ErrorKind.KEY:
            return f"give its workers a key that works ({variable}), then {resume}"
        case ErrorKind.MONEY:
            return f"add credit with the provider, then {resume}"
        case _:
            return resume
