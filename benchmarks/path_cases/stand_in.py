"""The simulator in a process of its own, without limits, so that its CPU is nobody else's."""

import json
import subprocess
import sys
from types import TracebackType
from typing import Self

import httpx2

from benchmarks.path_cases.measured import first_line


class StandIn:
    """A provider that answers each call after *latency_s*. Use it as a block.

    A streamed answer has an event a token, one each *interval_s*.
    """

    def __init__(
        self, *, latency_s: float, answer_tokens: int = 24, interval_s: float = 0.0
    ) -> None:
        self._command = [sys.executable, "-m", "promptmill.simulator", "--chunk-tokens", "1"]
        self._command += ["--answer-tokens", str(answer_tokens), "--latency", str(latency_s)]
        self._command += ["--chunk-interval", str(interval_s)]

    def url(self, provider: str) -> str:
        """Return the base URL for the SDK of *provider*."""
        return str(self._urls[f"{provider}_url"])

    @property
    def pid(self) -> int:
        return self._process.pid

    def answered(self) -> int:
        """Count the calls that were answered to their end."""
        root = self._urls["openai_url"].removesuffix("/v1")
        summary = self._http.get(f"{root}/_simulator/bill/summary").json()
        return int(summary["total"]["billed"])

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE)
        self._urls = json.loads(first_line(self._process))
        self._http = httpx2.Client(timeout=60.0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()
        self._process.terminate()
        self._process.communicate()
