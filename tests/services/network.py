"""No test reaches the outside: every connection that is not to this machine is refused.

An audit hook sees each connect of this interpreter, whatever library makes it, and cannot be
removed. `subprocess_guard` puts the same hook into the Python processes that tests start.
"""

import ipaddress
import sys
from pathlib import Path
from typing import Any

GUARD_FOLDER = Path(__file__).parent / "subprocess_guard"
"""in PYTHONPATH, its sitecustomize guards a child process"""

attempts: list[str] = []
"""what was refused, for the fixture that fails the test: a library may swallow the error"""

_CONNECTS = {"socket.connect", "socket.sendto", "socket.sendmsg"}


def refuse_the_outside() -> None:
    """Refuse from now on every connection and name look-up that leaves this machine."""
    sys.addaudithook(_look)


def _look(event: str, args: tuple[Any, ...]) -> None:
    if event in _CONNECTS:
        address = args[1]
        if isinstance(address, tuple) and not _is_here(str(address[0])):
            _refuse(f"{event} {address[0]}:{address[1]}")
    elif event == "socket.getaddrinfo" and args[0] and not _is_here(_text(args[0])):
        _refuse(f"look-up of {_text(args[0])}")


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _text(host: str | bytes) -> str:
    return host.decode() if isinstance(host, bytes) else host


def _refuse(what: str) -> None:
    attempts.append(what)
    msg = f"tests stay on this machine: refused {what}"
    raise PermissionError(msg)
