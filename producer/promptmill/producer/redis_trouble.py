"""What is wrong with a Redis, in words for people, by the error that came when it was asked.

What a server says is not quoted: it may quote what it was sent, and a password is sent to it.
"""

_WHERE = "PROMPTMILL_REDIS_PASSWORD or the URL has to hold it"
_REFUSED = {
    "WRONGPASS": f"refuses the password: {_WHERE}",
    "NOAUTH": f"asks for a password: {_WHERE}",
    "NOPERM": "does not let this user do what it is asked: see its ACL",
    "DENIED": "is in protected mode, and lets in only its own machine",
    "LOADING": "is still loading its data",
    "OOM": "is full: give it more memory (maxmemory)",
    "MISCONF": "cannot write its data to its disk",
    "READONLY": "is a replica, which takes no writes: name the one that it follows",
}
_NEEDS_NONE = "without any password configured"


def trouble_of(error: BaseException) -> str:
    """Say what *error*, of a bare socket or of redis-py, tells: `refuses the password: …`."""
    text = str(error)
    code = getattr(error, "status_code", None) or text.partition(" ")[0]
    if _NEEDS_NONE in text:
        return "has no password, and one was given: PROMPTMILL_REDIS_PASSWORD or the URL holds it"
    if code in _REFUSED:
        return _REFUSED[code]
    if code.isalpha() and code.isupper():
        return f"refuses what it is asked ({code})"
    return f"does not answer: {type(error).__name__}"
