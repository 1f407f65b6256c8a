"""Answers that arrive whole over HTTP and are wrong inside. Pure."""

from promptmill.simulator.answers import Answer
from promptmill.simulator.faults import Accident, Fault
from promptmill.simulator.wire import Reply

# A lone surrogate has no UTF-8, so this stands for it until the JSON is bytes.
_STANDS_FOR_SURROGATE = "\ue0d8"
_HTML = (
    b"<!DOCTYPE html><html><head><title>Just a moment...</title></head>"
    b"<body>Checking your browser before you go on.</body></html>"
)


def unsettle(fault: Fault, answer: Answer) -> Answer:
    """Put into the text what *fault* wants there."""
    match fault.what:
        case Accident.NUL:
            return answer._replace(text=answer.text + "\0")
        case Accident.SURROGATE:
            return answer._replace(text=answer.text + _STANDS_FOR_SURROGATE)
        case _:
            return answer


def spoil(fault: Fault, reply: Reply) -> Reply:
    """Return what arrives in place of *reply*."""
    if fault.what is Accident.RAW:
        return _raw(fault, reply)
    body = _spoiled_body(fault, reply.body)
    is_page = fault.what is Accident.HTML
    content_type = "text/html; charset=UTF-8" if is_page else reply.content_type
    return reply._replace(body=body, content_type=content_type)


def _spoiled_body(fault: Fault, body: bytes) -> bytes:
    match fault.what:
        case Accident.EMPTY:
            body = b""
        case Accident.HTML:
            body = _HTML
        case Accident.EMPTY_OBJECT:
            body = b"{}"
        case Accident.TRUNCATED:
            body = body[: len(body) // 2]
        case Accident.SURROGATE:
            body = body.replace(_STANDS_FOR_SURROGATE.encode(), b"\\ud83d")
        case _:
            pass
    return body


def _raw(fault: Fault, reply: Reply) -> Reply:
    headers = list(reply.headers)
    if fault.retry_after is not None:
        headers.append(("retry-after", fault.retry_after))
    return Reply(fault.status, fault.body.encode(), headers, fault.content_type)
