"""Whether an answer has the form that its prompt asks for, and what is made of one that has not.

The validator is imported, and a schema compiled, when the first answer that has to follow one is
there. It fetches nothing: a `$ref` to elsewhere makes a schema that is none.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec
import structlog

from promptmill.schema.answer_forms import INVALID, Checked, OnInvalid, Validity
from promptmill.schema.outcomes import ErrorKind
from promptmill.workers.providers.base import Answer, Refusal
from promptmill.workers.unstorable import raw_bytes

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

CUT: Final = "cut_answer"
"""The `error_code` of one that ends too early to have the form: it would be cut again."""
INVALID_AGAIN: Final = "invalid_again"
_CUT_SHORT: Final = frozenset({"length", "max_tokens", "MAX_TOKENS"})
_MOST_ERRORS: Final = 5
_MOST_CHARACTERS: Final = 300

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Misfit:
    """What is wrong with an answer."""

    problem: str
    """where, and which rule of the schema: no word of the answer"""
    words: str
    """the validator's own words, which quote the answer; for nobody but the model"""


def judged(
    answer: Answer, form: Mapping[str, Any], *, on_invalid: str, asked_again: bool
) -> Answer | Refusal:
    """Mark *answer*, or refuse it where the policy *on_invalid* is not to keep what has no form.

    *asked_again*: an invalid answer came before this one, and the policy allows no third.
    """
    if answer.text is None and answer.tool_calls:
        return answer  # it asks for something first
    try:
        misfit = misfit_of(answer.text or "", form)
    except NoSchemaError as error:
        return replace(answer, checked=Checked(Validity.UNCHECKED, str(error)))
    if misfit is None:
        repaired = asked_again and on_invalid == OnInvalid.REPAIR
        return replace(answer, checked=Checked(Validity.REPAIRED if repaired else Validity.VALID))
    if on_invalid == OnInvalid.KEEP:
        return replace(answer, checked=Checked(Validity.INVALID, misfit.problem))
    return _refused(answer, misfit, _code(answer, asked_again=asked_again))


def misfit_of(text: str, form: Mapping[str, Any]) -> Misfit | None:
    """Say what is wrong with *text*; None: nothing. Raises NoSchemaError."""
    validator = _validator(msgspec.json.encode(form))
    try:
        value = _decoded(text)
    except (ValueError, RecursionError) as error:
        return Misfit("not JSON", f"it is not JSON: {str(error)[:_MOST_CHARACTERS]}")
    try:
        errors = list(islice(validator.iter_errors(value), _MOST_ERRORS))
    except (ValueError, RecursionError) as error:  # what it cannot hold: nesting without end
        return Misfit("JSON that cannot be checked", f"it is too much: {type(error).__name__}")
    if not errors:
        return None
    found = "; ".join(dict.fromkeys(f"{_rule(error)} at {_place(error)}" for error in errors))
    words = "\n".join(f"{_place(error)}: {error.message[:_MOST_CHARACTERS]}" for error in errors)
    return Misfit(found, words)


class NoSchemaError(ValueError):
    """A schema that no answer can be held against."""


def _refused(answer: Answer, misfit: Misfit, code: str) -> Refusal:
    cut = ", which its token limit cut off" if code == CUT else ""
    return Refusal(
        kind=ErrorKind.BAD_RESPONSE,
        message=f"the answer{cut} does not follow its schema: {misfit.problem}",
        http_status=200,
        code=code,
        request_id=answer.request_id,
        usage=answer.usage,
        raw=raw_bytes(answer.text or ""),
        limits=answer.limits,
    )


def _code(answer: Answer, *, asked_again: bool) -> str:
    if answer.finish_reason in _CUT_SHORT:
        return CUT
    return INVALID_AGAIN if asked_again else INVALID


@lru_cache(maxsize=256)
def _validator(form: bytes) -> "Validator":
    import jsonschema_rs  # noqa: PLC0415  11 MiB, for those who ask for a form

    try:
        return jsonschema_rs.validator_for(msgspec.json.decode(form), retriever=_fetch_nothing)
    except ValueError as error:
        _log.warning("schema_unusable", problem=type(error).__name__)
        msg = "the schema cannot be used: it is none, or refers to another place"
        raise NoSchemaError(msg) from None


def _fetch_nothing(_uri: str) -> NoReturn:
    msg = "schemas are not fetched"
    raise ValueError(msg)


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return json.loads(text)  # takes half a surrogate pair, and integers of any size


def _rule(error: "ValidationError") -> str:
    return error.kind.name


def _place(error: "ValidationError") -> str:
    """Write the place as a JSON pointer, its names cut: they are the schema's, or the answer's."""
    return "/" + "/".join(str(step)[:40] for step in error.instance_path)
