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
        case Accident.MISFIT:
            return answer._replace(text="[]")
        case _:
            return answer


def spoil(fault: Fault, reply: Reply) -> Reply:
    """Return what arrives in place of *reply*."""
    if fault.what is Accident.RAW:
        return _raw(fault, reply)
    if reply.events is not None:
        return _spoiled_stream(fault, reply, reply.events)
    body = _spoiled_body(fault, reply.body)
    is_page = fault.what is Accident.HTML
    content_type = "text/html; charset=UTF-8" if is_page else reply.content_type
    return reply._replace(body=body, content_type=content_type)


def _spoiled_stream(fault: Fault, reply: Reply, events: tuple[bytes, ...]) -> Reply:
    before = len(events) // 2 if fault.after_events is None else fault.after_events
    match fault.what:
        case Accident.HTML:
            return reply._replace(body=_HTML, events=None, content_type="text/html; charset=UTF-8")
        case Accident.EMPTY:
            events = ()
        case Accident.EMPTY_OBJECT:
            events = (b"data: {}\n\n",)
        case Accident.CUT | Accident.STALL | Accident.TRUNCATED:
            events = events[:before]
        case Accident.SURROGATE:
            half = _STANDS_FOR_SURROGATE.encode()
            events = tuple(event.replace(half, b"\\ud83d") for event in events)
        case _:
            pass
    return reply._replace(events=events)


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
