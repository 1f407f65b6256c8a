"""A real Flower, started as people start it, and read over HTTP."""

import json
import re
import signal
import subprocess
import sys
from base64 import b64encode
from dataclasses import dataclass
from http.client import HTTPConnection
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from tests.services.running_mill import RunningMill
from tests.services.waiting import wait_until

_HINT = re.compile(r"http://127\.0\.0\.1:(\d+)  user (\S+)  password (\S+)")


@dataclass(frozen=True, slots=True)
class Page:
    """What came back."""

    status: int
    text: str


def queue_lengths(broker_page: str) -> dict[str, int]:
    """Read the rows of the broker page: queue and messages."""
    rows = re.findall(r"<td>(promptmill\.\w+)</td>\s*<td[^>]*>(\d+)</td>", broker_page)
    return {queue: int(length) for queue, length in rows}


class Monitor:
    """`promptmill flower` on a free port of loopback, with the login that it prints."""

    def __init__(self, mill: RunningMill) -> None:
        self._log = mill.folder / "flower.log"
        command = (sys.executable, "-m", "promptmill.producer", "flower", "--port", "0")
        self._process = mill.start_process(*command, log="flower.log")
        self.port = 0
        self.login = ""

    def get(self, path: str, *, login: str | None = None) -> Page:
        """Read a page, with the printed login unless another is given; an empty one is none."""
        return self._ask("GET", path, self.login if login is None else login)

    def post(self, path: str) -> Page:
        """Send an empty POST, as a button of a page does."""
        return self._ask("POST", path, self.login)

    def rows(self, search: str = "") -> list[dict[str, Any]]:
        """Read the rows of the tasks page as its table does, oldest first."""
        query = {"draw": 1, "start": 0, "length": 200, "search[value]": search}
        order = {"order[0][column]": 0, "order[0][dir]": "asc", "columns[0][data]": "received"}
        page = self.get(f"/tasks/datatable?{urlencode({**query, **order})}")
        assert page.status == 200, page.text
        rows: list[dict[str, Any]] = json.loads(page.text)["data"]
        return rows

    def __enter__(self) -> Self:
        wait_until(self._is_up, f"Flower to answer, see {self._log}", timeout=40)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _is_up(self) -> bool:
        log = self._log.read_text()
        assert self._process.poll() is None, f"Flower ended:\n{log[-3000:]}"
        told = _HINT.search(log)
        if told is None:
            return False
        self.port, self.login = int(told[1]), f"{told[2]}:{told[3]}"
        try:
            return self.get("/healthcheck").text == "OK"
        except ConnectionRefusedError:
            return False

    def _ask(self, method: str, path: str, login: str) -> Page:
        headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"} if login else {}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, headers=headers)
            reply = connection.getresponse()
            return Page(reply.status, reply.read().decode())
        finally:
            connection.close()
