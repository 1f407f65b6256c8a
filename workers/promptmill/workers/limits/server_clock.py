"""Redis' clock, read on the event loop's."""

DRIFT_S = 50e-6
"""How much less sure the offset is with each reading that does not improve it."""


class ServerClock:
    """The offset between the server's clock and `loop.time()`, from the quickest round trips.

    A reply that waited in a busy event loop tells a wrong time; the quickest ones do not.
    """

    def __init__(self) -> None:
        self._offset_s = 0.0
        self._error_s = float("inf")

    def read(self, server_us: int, *, sent: float, received: float) -> None:
        """Take one reading: the server said *server_us* between *sent* and *received*."""
        offset = server_us / 1e6 - (sent + received) / 2
        error = (received - sent) / 2
        jumped = abs(offset - self._offset_s) > error + self._error_s
        if error <= self._error_s or jumped:
            self._offset_s, self._error_s = offset, error
        else:
            self._error_s += DRIFT_S

    def on_loop(self, server_us: int) -> float:
        """Say when *server_us* is, on `loop.time()`, in seconds."""
        return server_us / 1e6 - self._offset_s
