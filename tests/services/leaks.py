"""Where a key or a prompt may have come out: everything that a mill leaves behind.

Celery packs the body of a message in base64, and so do we with answers that cannot be read; so
what is looked for is looked for in that coat, too.
"""

import base64
import subprocess
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from promptmill.schema.tables import metadata
from tests.services.running_mill import RunningMill
from tests.services.valkey import Valkey

_MAY_HOLD_PROMPTS = {"table job_payloads", "table results", "table attempt_bodies"}
"""and nothing else that is read here; files other than logs are searched for keys only"""


def assert_nothing_leaks(mill: RunningMill, events: Iterable[Any] = ()) -> None:
    """Look for the mill's key everywhere, and for its prompts where they do not belong."""
    key, prompt = f"key{mill.canary}", f"prompt{mill.canary}"
    for where, text in _everything_that_stays(mill, events):
        _assert_absent(key, text, f"a key is in {where}")
        if where not in _MAY_HOLD_PROMPTS:
            _assert_absent(prompt, text, f"a prompt is in {where}")
    for path in _files(mill):
        _assert_absent(key, _latin(path), f"a key is in the file {path.name}")


def coats(secret: str) -> set[str]:
    """Return *secret* as it reads plainly, and within base64 at each of the three places."""
    found = {secret}
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + secret.encode())
        # The first characters have bits of what stands before, the last ones of what follows.
        whole = coded[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6].decode()
        found |= {whole, whole.replace("+", "-").replace("/", "_")}
    return found


def _assert_absent(secret: str, text: str, what: str) -> None:
    for coat in coats(secret):
        assert coat not in text, f"{what}: {_around(text, coat)}"


def _everything_that_stays(mill: RunningMill, events: Iterable[Any]) -> Iterator[tuple[str, str]]:
    for table in metadata.tables:
        yield f"table {table}", repr(mill.sql(f"select * from {table}"))
    for log in mill.logs():
        yield log.name, log.read_text(errors="replace")
    yield "events", repr(list(events))
    yield "Redis", mill.valkey.written() + _held(mill.valkey)


def _files(mill: RunningMill) -> Iterator[Path]:
    """Find what else lies in the mill's folder: the database, its log, spooled answers."""
    logs = set(mill.logs())
    for path in sorted(mill.folder.rglob("*")):
        if path.is_file() and path not in logs:
            yield path


def _latin(path: Path) -> str:
    """Read a file by another process; what is gone, as a database's log may be, is empty.

    Closing a file of an open SQLite database in this process would give back this process's locks
    on it, and whoever leaves next would remove the log with all that is in it only.
    https://www.sqlite.org/howtocorrupt.html, "Posix advisory locks canceled"
    """
    return subprocess.run(["cat", path], capture_output=True, check=False).stdout.decode("latin-1")


def _held(valkey: Valkey) -> str:
    """Read every key and value: what was rewritten is not among the commands any more."""
    if not valkey.is_up():
        return ""
    client: Any = valkey.client
    read = {
        b"string": client.get,
        b"list": partial(client.lrange, start=0, end=-1),
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"zset": partial(client.zrange, start=0, end=-1),
        b"stream": client.xrange,
    }
    held = {
        key: read[kind](key) for key in client.scan_iter() if (kind := client.type(key)) in read
    }
    return repr(held)


def _around(text: str, found: str) -> str:
    at = text.index(found)
    return text[max(0, at - 200) : at + 40]
