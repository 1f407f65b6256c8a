"""Run a server for as long as somebody uses it, then end it and remove its folder.

    python keeper.py LOCK FOLDER USER COMMAND...

A user holds a shared flock on LOCK. The keeper waits for the exclusive one, which the kernel gives
it when the last user is gone, also when that was killed. It detaches itself, so that whoever
started it may end before the others do. USER is whom COMMAND runs as, `uid:gid`. FOLDER
and USER may be empty. Standard library only.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

_STOP_S = 10.0


def main() -> None:
    lock, folder, user, *command = sys.argv[1:]
    if os.fork():
        os._exit(0)
    os.setsid()
    child = _start(command, user)
    threading.Thread(target=_end_with_users, args=(lock, child), daemon=True).start()
    child.wait()
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def _start(command: list[str], user: str) -> "subprocess.Popen[bytes]":
    if not user:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL)
    uid, gid = (int(number) for number in user.split(":"))
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, user=uid, group=gid, extra_groups=[])


def _end_with_users(lock: str, child: "subprocess.Popen[bytes]") -> None:
    with Path(lock).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        # To PostgreSQL, SIGINT is the fast stop and SIGTERM waits for its clients.
        child.send_signal(signal.SIGINT)
        try:
            child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()


if __name__ == "__main__":
    main()
