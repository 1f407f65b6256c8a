"""What a chat-completions body must be, before anything is spent on it."""

from typing import Any, Literal, get_args

import msgspec

from promptmill.producer.reading.attachments import Attachments
from promptmill.producer.reading.lines import Line
from promptmill.producer.reading.options import ReadOptions
from promptmill.producer.reading.prompt import Prompt
from promptmill.producer.reading.strict_json import canonical
from promptmill.schema.requests import STREAM

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
_ROLES = frozenset(get_args(Role))
_WITHOUT_CONTENT = ("tool_calls", "function_call", "refusal", "audio")
_TOKEN_LIMITS = ("max_tokens", "max_completion_tokens")
_NOT_SENT = frozenset({"stream_options", "n"})
_CHECKED = _NOT_SENT | {STREAM, *_TOKEN_LIMITS}
MAX_MODEL_CHARACTERS = 256


class Request(msgspec.Struct, frozen=True, gc=False):
    """What a line asks for, still to be checked."""

    custom_id: str
    model: Any
    body: dict[str, Any]
    """without the model"""
    written: bytes | None = None
    """the body in canonical JSON, where it is at hand"""
    has_files: bool = False
    """whether files were put into it"""


def chat_prompt(
    line: Line, request: Request, *, system: str | None, options: ReadOptions
) -> Prompt:
    """Check *request*, put *system* and the options into its body, and freeze it.

    Raises InputError for a request that no provider would answer, or that would be paid in vain.
    """
    body, written = request.body, request.written
    has_files = False
    if _check_messages(line, body.get("messages")) and options.folder is not None:
        files = Attachments(line, options.folder, options.max_file_bytes)
        has_files = files.put_into(body["messages"]) or request.has_files
        written = None if has_files else written
    model = check_model(line, request.model)
    if not _CHECKED.isdisjoint(body):
        _check_parameters(line, body)
        body = _without_needless(body)
    if system is not None or options.parameters or not _NOT_SENT.isdisjoint(body):
        body, written = _completed(line, body, system, options), None
    if written is None:
        written = canonical(body)
    return Prompt(line.number, request.custom_id, written, options.model or model, has_files)


def _completed(
    line: Line, body: dict[str, Any], system: str | None, options: ReadOptions
) -> dict[str, Any]:
    """Put *system* first and the options over the rest; leave out what answers don't depend on."""
    body = {name: value for name, value in body.items() if name not in _NOT_SENT}
    if system is not None:
        body["messages"] = [_system_message(line, body["messages"], system), *body["messages"]]
    if options.parameters:
        body.update(options.parameters)
        _check_parameters(line, body)
    return _without_needless(body)


def _without_needless(body: dict[str, Any]) -> dict[str, Any]:
    """Leave out a `stream` that asks for none: the same request without it is the same request."""
    if body.get(STREAM) is not True:
        body.pop(STREAM, None)
    return body


def _check_messages(line: Line, messages: Any) -> bool:
    """Refuse what nobody could answer; tell whether there is more than texts. Raises InputError."""
    if type(messages) is not list or not messages:
        raise line.refused(
            problem="messages is missing, empty or not a list",
            fix='write "messages": [{"role": "user", "content": "..."}]',
        )
    is_more = False
    for number, message in enumerate(messages):
        if type(message) is dict and type(message.get("content")) is str:
            role = message.get("role")
            if type(role) is str and role in _ROLES:
                continue
        _check_message(line, f"messages[{number}]", message)
        is_more = True
    return is_more


def _check_message(line: Line, where: str, message: Any) -> None:
    if not isinstance(message, dict):
        raise line.refused(
            problem=f"{where} is not an object", fix='write {"role": "user", "content": "..."}'
        )
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise line.refused(
            problem=f"{where} has no role that is known",
            fix="use one of " + ", ".join(sorted(_ROLES)),
            value=str(role),
        )
    content = message.get("content")
    if isinstance(content, str):
        return
    if isinstance(content, list) and content:
        if all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in content):
            return
    elif content is None and role == "assistant" and any(map(message.get, _WITHOUT_CONTENT)):
        return
    raise line.refused(
        problem=f"{where} has no content that can be sent",
        fix='give it a string, or a list of parts such as {"type": "text", "text": "..."}',
    )


def _check_parameters(line: Line, body: dict[str, Any]) -> None:
    check_stream(line, body.get(STREAM))
    if body.get("n") not in (None, 1):
        raise line.refused(
            problem="n asks for several answers",
            fix="repeat the line instead: one prompt, one answer",
        )
    for name in _TOKEN_LIMITS:
        limit = body.get(name)
        if limit is not None and (type(limit) is not int or limit < 1):
            raise line.refused(
                problem=f"{name} is not a positive integer",
                fix="give the most tokens an answer may have, such as 200",
                value=str(limit),
            )


def check_stream(line: Line, stream: Any) -> None:
    """Refuse what says neither that the answer is to be streamed nor that it is not."""
    if stream is not None and not isinstance(stream, bool):
        raise line.refused(
            problem="stream is neither true nor false",
            fix="leave it out, unless the answer is long: it is stored whole either way",
            value=str(stream),
        )


def check_model(line: Line, model: Any) -> str | None:
    """Return *model* if it is a name, or None. Raises InputError."""
    if model is None:
        return None
    if not isinstance(model, str) or not 0 < len(model) <= MAX_MODEL_CHARACTERS:
        raise line.refused(
            problem=f"model is not a name of 1 to {MAX_MODEL_CHARACTERS} characters",
            fix="name a model, or leave it out and give -m",
            value=str(model),
        )
    if not model.isprintable():
        raise line.refused(
            problem="model has a control character in it", fix="remove it", value=model
        )
    return model


def _system_message(line: Line, messages: list[dict[str, Any]], system: str) -> dict[str, str]:
    if messages[0].get("role") in ("system", "developer"):
        raise line.refused(
            problem="the line has a system message of its own, and -s gives another",
            fix="leave out -s, or take the system messages out of the input",
        )
    return {"role": "system", "content": system}
