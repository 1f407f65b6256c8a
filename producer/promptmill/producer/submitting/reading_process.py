"""Read an input in a process of its own, so that one core reads while another one stores.

The process is told what to read over its standard input, and writes frames to its standard output:
eight bytes of length, then a message. It ends with whoever started it: nobody takes the next frame.
"""

import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from promptmill.producer.reading import Check, Checked, Input, ReadOptions
from promptmill.producer.routing import Router
from promptmill.producer.submitting.chunks import Chunk, chunks_of
from promptmill.schema.errors import InputError, ServiceError, UsageError

_LENGTH_BYTES = 8
_PIPE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be read."""

    path: Path
    name: str
    """of the input, for messages"""
    options: ReadOptions
    router: Router


class Whole(msgspec.Struct, frozen=True, tag=True):
    """The last message: all of it is good."""

    checked: Checked


class BadLine(msgspec.Struct, frozen=True, tag=True):
    """The last message: it is refused for a line. The fields are those of InputError."""

    problem: str
    file: str
    line: int
    value: str
    fix: str
    unit: str
    others: Sequence[tuple[int, str]]


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The last message: it is refused."""

    why: str


Message = Chunk | Whole | BadLine | Refused
_DECODER = msgspec.msgpack.Decoder(Message)


class ReadingProcess:
    """A process that reads, until `end`."""

    def __init__(self, order: Order) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pipesize=_PIPE_BYTES,
            start_new_session=True,  # Ctrl-C is for us to decide about
        )
        assert self._process.stdin and self._process.stdout  # noqa: S101, PT018  as asked for
        self._frames: IO[bytes] = self._process.stdout
        with suppress(BrokenPipeError), self._process.stdin as stdin:  # dead already: told below
            pickle.dump(order, stdin)

    def chunks(self) -> Iterator[Chunk | Checked]:
        """Yield chunks as they come, and at the end what all of it was.

        While one is stored, the next one is taken in, so that the process need not wait for that.
        Raises UsageError where the input is refused, and ServiceError where the process was ended.
        """
        ahead = ThreadPoolExecutor(1, thread_name_prefix="reading")
        coming = ahead.submit(self._message)
        try:
            while True:
                match coming.result():
                    case Chunk() as chunk:
                        coming = ahead.submit(self._message)
                        yield chunk
                    case Whole(checked):
                        yield checked
                        return
                    case BadLine() as bad:
                        raise InputError(**msgspec.structs.asdict(bad))
                    case Refused(why):
                        raise UsageError(why)
        finally:
            self._process.kill()  # or a frame might still be waited for
            ahead.shutdown()

    def end(self) -> None:
        """End it, however far it is."""
        self._process.kill()
        self._process.wait()
        self._frames.close()

    def _message(self) -> Message:
        message: Message = _DECODER.decode(self._frame())
        return message

    def _frame(self) -> bytes:
        length = int.from_bytes(self._frames.read(_LENGTH_BYTES), "little")
        frame = self._frames.read(length)
        if not length or len(frame) < length:
            msg = (
                f"the process that reads the input ended, with status {self._process.wait()}:"
                " type the same command to go on"
            )
            raise ServiceError(msg)
        return frame


def messages(order: Order) -> Iterator[Message]:
    """Read what *order* says."""
    try:
        check = Check(Input(order.path, name=order.name), order.options)
        yield from chunks_of(check.prompts(), order.router, order.options)
        yield Whole(check.checked())
    except InputError as error:
        yield BadLine(**{name: getattr(error, name) for name in BadLine.__struct_fields__})
    except UsageError as error:
        yield Refused(str(error))


def main() -> None:
    """Be the process."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    order = pickle.load(sys.stdin.buffer)  # noqa: S301  from our own parent
    encoder, out = msgspec.msgpack.Encoder(), sys.stdout.buffer
    for message in messages(order):
        frame = encoder.encode(message)
        out.write(len(frame).to_bytes(_LENGTH_BYTES, "little"))
        out.write(frame)
    out.flush()


if __name__ == "__main__":
    main()
