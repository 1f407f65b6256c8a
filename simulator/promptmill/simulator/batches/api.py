"""What a provider's batch API must be able to do."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from promptmill.simulator.dialects.base import Dialect
from promptmill.simulator.wire import Reply, Request

CREATE = "batches.create"
UPLOAD = "files.create"
READ = "batches.read"
VALIDATE = "batches.validate"
"""As the model of a fault: for the rows of OpenAI's, which are looked at before any is done."""


class Route(NamedTuple):
    """What a request asks for."""

    name: str
    """by which a fault names it as its model"""
    do: Callable[[], Reply]


class BatchApi(Protocol):
    """One provider's batch API, and the files that go with it."""

    dialect: Dialect
    """of its key and its errors"""

    def route(self, request: Request) -> Route | None:
        """Tell what *request* asks for; None: it is not for this API."""
        ...
