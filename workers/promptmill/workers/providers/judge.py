"""What a provider's replies mean, whichever way they came: to a call, or by a batch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from promptmill.workers.providers import errors
from promptmill.workers.providers.base import NO_CALL, Answer, Call, Refusal
from promptmill.workers.providers.chat import UnsendableError
from promptmill.workers.providers.errors import Fault
from promptmill.workers.providers.http import Lost
from promptmill.workers.providers.operation import Envelope, Operation, read_reply
from promptmill.workers.providers.reply import Reply, limits_told
from promptmill.workers.providers.streaming import Stream


def no_error(_reply: Reply) -> None:
    """Find no error in what came with a 200."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges the replies of one provider."""

    provider: str
    fault_of: Callable[[Reply], Fault]
    secrets: tuple[str, ...] = field(repr=False)
    """what must be in no message"""
    request_ids: tuple[str, ...]
    """headers that name a request, the first that is there"""
    limit_headers: Mapping[str, str] = field(default_factory=dict)
    """see `limits_told`"""
    error_inside: Callable[[Reply], Reply | None] = no_error
    """finds an error that came with a 200, where no answer did"""

    def heard(
        self, operation: Operation, reply: Reply | Lost, call: Call, stream: Stream | None
    ) -> Answer | Refusal:
        """Tell what came of *call*, which may have been answered by a stream."""
        if stream is None:
            return self.value(operation, reply, call)
        return stream.told(self.value(operation, stream.whole(reply), call))

    def value(self, operation: Operation, reply: Reply | Lost, call: Call) -> Answer | Refusal:
        """Tell what *reply* means for *call*."""
        if isinstance(reply, Lost):
            return self.lost(reply)
        if not 200 <= reply.status < 300:
            return self.refuse(reply, call)
        envelope = self._envelope(reply)
        read = read_reply(operation, call, reply, envelope)
        if isinstance(read, Answer):
            return read
        if (error := self.error_inside(reply)) is not None:
            return self.refuse(error, call)
        return errors.unanswered(
            self.provider,
            reply,
            read,
            secrets=self.secrets,
            usage=operation.usage(reply),
            request_id=envelope.request_id,
        )

    def refuse(self, reply: Reply, call: Call = NO_CALL) -> Refusal:
        """Tell what an error means, of a call or of none."""
        envelope = self._envelope(reply)
        return errors.refused(
            self.provider,
            reply,
            self.fault_of(reply),
            call=call,
            secrets=self.secrets,
            request_id=envelope.request_id,
            limits=envelope.limits,
        )

    def lost(self, loss: Lost) -> Refusal:
        """Tell what it means that no complete answer came."""
        return errors.lost(self.provider, loss)

    def unsendable(self, verdict: UnsendableError) -> Refusal:
        """Tell what it means that something cannot be said."""
        return errors.unsendable(self.provider, verdict)

    def _envelope(self, reply: Reply) -> Envelope:
        named = (reply.headers.get(name) for name in self.request_ids)
        return Envelope(
            next(filter(None, named), None), limits_told(reply.headers, self.limit_headers)
        )
