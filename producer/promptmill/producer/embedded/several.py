"""Several processes of one kind: started, started again when they die, and stopped together."""

import os
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from time import monotonic

import structlog

from promptmill.producer.embedded.children import Children, Ended

_log = structlog.get_logger(__name__)
_LOOK_S = 0.1
_USAGE = 2
"""exit code of a child whose settings are wrong: another start would not help"""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 30.0
_STEADY_S = 60.0
"""a child that lived so long did not die of its start"""


class Several:
    """Keeps *count* children alive until told to stop.

    *command* makes the command of the n-th, from 1. One that dies again and again is started again
    after 1, 2, 4 and so on up to 30 s.
    """

    def __init__(
        self,
        children: Children,
        count: int,
        command: Callable[[int], Sequence[str]],
        env: Mapping[str, str],
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._children, self._command, self._env, self._clock = children, command, env, clock
        self._numbers = range(1, count + 1)
        self._started: dict[int, float] = {}
        self._waits: dict[int, float] = {}
        self._due: dict[int, float] = {}

    def run(self, stop: Event, *, grace_s: float) -> int:
        """Keep them alive until *stop* is set, then give them *grace_s* seconds to drain.

        Returns the exit code for this process: that of a child whose settings are wrong, else 0,
        or 1 where a child had to be killed.
        """
        for number in self._numbers:
            self._start(number)
        while not stop.wait(_LOOK_S):
            wrong = self._look()
            if wrong:
                self._children.stop(grace_s)
                return wrong
        return 1 if self._children.stop(grace_s) else 0

    def _look(self) -> int:
        """Take in who died and start who is due; return the exit code of wrong settings, or 0."""
        for child in self._children.ended():
            if child.returncode == _USAGE:
                return _USAGE
            self._died(child)
        for number, at in list(self._due.items()):
            if at <= self._clock():
                self._start(number)
        return 0

    def _died(self, child: Ended) -> None:
        number, now = int(child.name), self._clock()
        steady = now - self._started[number] >= _STEADY_S
        wait_s = _FIRST_WAIT_S if steady else self._waits.get(number, _FIRST_WAIT_S)
        self._waits[number] = min(2 * wait_s, _LONGEST_WAIT_S)
        self._due[number] = now + wait_s
        _log.warning("process ended", number=number, code=child.returncode, again_in_s=wait_s)

    def _start(self, number: int) -> None:
        self._due.pop(number, None)
        self._started[number] = self._clock()
        self._children.start(str(number), self._command(number), self._env)
        pid = self._children.pid(str(number))
        _log.info("process started", number=number, pid=pid, parent=os.getpid())
