"""The workers' app with a mine in its lane: it is killed between a create and its commit."""

import os
import signal

from promptmill.schema.provider_batches import ProviderBatch
from promptmill.workers import app
from promptmill.workers.lane.passage import Passage

__all__ = ["app"]


def killed(_passage: Passage, _one: ProviderBatch, _provider_id: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


Passage._is_there = killed  # type: ignore[assignment,method-assign]
