"""The vectors of one process, by scope, and which of them is the nearest."""

import base64
from collections import OrderedDict
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from promptmill.schema.moves.similar import Entry

Vector = npt.NDArray[np.float32]


class Neighbours:
    """The scopes that were used last, with *most* vectors at most in all."""

    def __init__(self, *, most: int) -> None:
        self._most, self._held = most, 0
        self._scopes: OrderedDict[str, _Scope] = OrderedDict()

    def last_id(self, scope: str) -> int:
        """Tell the id of the last entry that was read of *scope*; 0 for none."""
        found = self._scopes.get(scope)
        return 0 if found is None else found.last_id

    def read(self, scope: str, entries: Iterable[Entry]) -> None:
        """Take in what others kept."""
        for entry in entries:
            self.add(scope, entry.job_id, decode(entry.vector_base64))
            found = self._scopes.get(scope)
            if found is not None:
                found.last_id = max(found.last_id, entry.id)

    def add(self, scope: str, job_id: int, vector: Vector) -> None:
        """Take in one vector, once a job; forget the scopes that were not used for longest."""
        self._held += self._used(scope).add(job_id, vector)
        while self._held > self._most:
            _, forgotten = self._scopes.popitem(last=False)
            self._held -= len(forgotten.jobs)

    def nearest(
        self, scope: str, vector: Vector, *, most: int, least: float
    ) -> list[tuple[int, float]]:
        """List (job, cosine) of those that are at least so similar, the nearest first."""
        return self._used(scope).nearest(vector, most=most, least=least)

    def _used(self, scope: str) -> "_Scope":
        found = self._scopes.setdefault(scope, _Scope())
        self._scopes.move_to_end(scope)
        return found


class _Scope:
    """The vectors of one scope, in the order in which they came."""

    def __init__(self) -> None:
        self.jobs: dict[int, None] = {}
        self.last_id = 0
        self._rows = np.zeros((0, 0), dtype=np.float32)

    def add(self, job_id: int, vector: Vector) -> bool:
        if job_id in self.jobs:
            return False
        count = len(self.jobs)
        if count == 0:
            self._rows = np.zeros((16, len(vector)), dtype=np.float32)
        elif count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._rows[count] = vector
        self.jobs[job_id] = None
        return True

    def nearest(self, vector: Vector, *, most: int, least: float) -> list[tuple[int, float]]:
        if not self.jobs:
            return []
        jobs = list(self.jobs)
        cosines = self._rows[: len(jobs)] @ vector
        near = np.flatnonzero(cosines >= least)
        best = near[np.argsort(-cosines[near])][:most]
        return [(jobs[row], min(1.0, float(cosines[row]))) for row in best]


def encode(vector: Vector) -> str:
    """Write a vector as text: 16-bit floats, base64."""
    return base64.b64encode(vector.astype("<f2").tobytes()).decode()


def decode(text: str) -> Vector:
    """Read what `encode` wrote."""
    return np.frombuffer(base64.b64decode(text), dtype="<f2").astype(np.float32)
