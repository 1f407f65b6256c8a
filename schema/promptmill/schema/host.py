"""Name this host and its processes, so that another process here can tell that one is gone.

Only within one boot and one PID namespace does a process id mean the same process to both.
"""

import os
import socket
import uuid
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")


def host_identity() -> str:
    """Name the boot and PID namespace that this process lives in, after the host's own name."""
    try:
        boot = _BOOT.read_text(encoding="ascii").strip()
        namespace = str(_NAMESPACE.stat().st_ino)
    except OSError:  # no /proc, as on macOS: the network card tells two hosts of one name apart
        boot, namespace = f"{uuid.getnode():012x}", "0"
    return f"{socket.gethostname()}/{boot}/{namespace}"


def process_is_gone(pid: int) -> bool:
    """Say whether no process *pid* runs here; one that ended and was not waited for is gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _is_zombie(pid)


def new_owner() -> str:
    """Make a name for this start of this process, from which others here can tell it is gone."""
    return f"{host_identity()}/{os.getpid()}/{uuid.uuid4()}"


def owner_is_gone(owner: str) -> bool:
    """Say whether *owner*, made by `new_owner`, was a process of this host and is gone."""
    host, _, process = owner.rpartition("/")[0].rpartition("/")
    return host == host_identity() and process.isdecimal() and process_is_gone(int(process))


def _is_zombie(pid: int) -> bool:
    try:
        # The state follows the name, which is in parentheses and may contain anything.
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[:1] in (["Z"], ["X"])
