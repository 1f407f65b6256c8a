"""What the stand-in does with a request: key, limits, faults, answer, bill. Knows no socket."""

import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import sha256
from random import Random

from promptmill.simulator import answers
from promptmill.simulator.background import PATH, Kept
from promptmill.simulator.bill import Bill, Entry
from promptmill.simulator.config import Dimension, SimulatorConfig
from promptmill.simulator.dialects import DIALECTS, METHODS, PATHS
from promptmill.simulator.dialects.base import Context, Dialect, Prompt, Unreadable
from promptmill.simulator.faults import Accident, Fault, FaultBook, Trouble
from promptmill.simulator.limits import Excess, Limiter, Scope
from promptmill.simulator.provider import Provider
from promptmill.simulator.spoiled import spoil, unsettle
from promptmill.simulator.wire import Reply, Request

_NO_PROMPT = Prompt("", "", None)


class Call:
    """One request to a model, from its arrival to the end of its answer."""

    __slots__ = ("delay_s", "dialect", "entry", "fault", "prompt", "refusal", "scope", "sha256")

    def __init__(
        self, dialect: Dialect, prompt: Prompt, digest: bytes, entry: Entry, scope: Scope
    ) -> None:
        self.dialect = dialect
        self.prompt = prompt
        self.sha256 = digest
        self.entry = entry
        self.scope = scope
        self.refusal: Reply | None = None
        self.fault: Fault | None = None
        self.delay_s = 0.0


class Engine:
    """The state of one simulator. Not thread-safe: one event loop."""

    def __init__(
        self, config: SimulatorConfig, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._serial = 0
        self._boot = secrets.token_hex(8)
        self._rng = Random(config.seed)
        self._faults = FaultBook(config.seed)
        self._faults.add(config.faults)
        self._limiter = Limiter(config, clock)
        self._kept = Kept(clock)
        self.config = config
        self.bill = Bill(config.bill_rows, clock)

    def configure(self, config: SimulatorConfig) -> None:
        """Go by *config* from the next request on. Changed limits begin unused."""
        before, self.config = self.config, config
        if (config.limits, config.limits_for) != (before.limits, before.limits_for):
            self._limiter = Limiter(config, self._clock)

    def add_faults(self, faults: Iterable[Fault]) -> None:
        """Add rules after those in force."""
        self._faults.add(faults)

    def clear_faults(self) -> None:
        """Drop all rules."""
        self._faults.clear()

    def begin(self, dialect: Dialect, request: Request) -> Call:
        """Take a request in: it is on the bill from here. `finish` follows after `delay_s`."""
        problem = None
        try:
            prompt = dialect.parse(request)
        except Unreadable as error:
            prompt, problem = _NO_PROMPT, str(error)
        key = dialect.key(request)
        call = self._open(dialect, request, prompt, _fingerprint(key))
        if (trouble := self.key_trouble(key)) is not None:
            call.refusal = dialect.refuse(self._context(call), trouble)
        elif problem is not None:
            context = self._context(call)
            call.refusal = dialect.refuse(context, Trouble.INVALID_REQUEST, message=problem)
        else:
            self._decide(call)
        return call

    def finish(self, call: Call) -> Reply:
        """Return the reply, and charge the call if it is one that costs."""
        fault = call.fault
        if call.refusal is not None:
            if fault is not None and fault.is_billed:
                self._charge(call)
            return call.refusal
        if fault is None:
            return self._say(call, self._charge(call))
        answer = self._charge(call) if fault.is_billed else self._answer(call)
        reply = self._say(call, unsettle(fault, answer))
        if fault.what is Accident.STREAM_ERROR and reply.events is not None:
            return self._break_off(call, fault, reply, reply.events)
        return spoil(fault, reply)

    def answer_in_batch(
        self, dialect: Dialect, request: Request
    ) -> tuple[Reply, Accident | Trouble | None]:
        """Answer a request that came in a batch, at half the price and under no limit.

        Tells what befell it, too: whether it is to be seen is for the batch to say.
        """
        problem = None
        try:
            prompt = dialect.parse(request)
        except Unreadable as error:
            prompt, problem = _NO_PROMPT, str(error)
        call = self._open(dialect, request, prompt, _fingerprint(dialect.key(request)))
        call.entry.half_price = True
        if problem is not None:
            context = self._context(call)
            call.refusal = dialect.refuse(context, Trouble.INVALID_REQUEST, message=problem)
        else:
            self._befall(call, answers.count_tokens(prompt.text))
        reply = self.finish(call)
        befallen = None if call.fault is None else call.fault.what
        is_seen = befallen not in (Accident.DROPPED, Accident.EXPIRED)
        self.bill.close(call.entry, status=reply.status if is_seen else 0, complete=is_seen)
        return reply, befallen

    def fault_of(self, provider: Provider, name: str, text: str = "") -> Fault | None:
        """Return the fault that befalls what is asked of a batch API by this name."""
        return self._faults.pick(provider, name, text, named=True)

    def key_trouble(self, key: str) -> Trouble | None:
        """Tell what is wrong with *key*, if anything."""
        if not self.config.keys or key in self.config.keys:
            return None
        return Trouble.BAD_KEY if key else Trouble.UNAUTHORIZED

    def context_of_none(self) -> Context:
        """Tell what goes with a reply that is about no model."""
        return Context(self._next_id(), "", {}, time.time())

    def now(self) -> float:
        """Tell the time, monotonic, in seconds."""
        return self._clock()

    def models(self, dialect: Dialect, request: Request) -> Reply:
        """Answer what costs nothing: for the list of models, or what is made in the background."""
        context = self.context_of_none()
        if (trouble := self.key_trouble(dialect.key(request))) is not None:
            return dialect.refuse(context, trouble)
        path = request.head.path
        if not path.startswith(PATH):
            return dialect.models(context, path)
        kept = self._kept.look(path, takes_s=self.config.background_s)
        return kept or dialect.refuse(context, Trouble.MODEL_NOT_FOUND)

    def _open(self, dialect: Dialect, request: Request, prompt: Prompt, key: str) -> Call:
        digest = answers.digest(prompt.text) if prompt is not _NO_PROMPT else b""
        entry = self.bill.open(
            dialect.provider,
            key=key,
            client_request_id=request.head.header(b"x-client-request-id"),
            model=prompt.model,
            prompt=digest,
            marker=answers.find_marker(prompt.text),
        )
        scope = self._limiter.scope(dialect.provider, key, prompt.model)
        return Call(dialect, prompt, digest, entry, scope)

    def _decide(self, call: Call) -> None:
        """Let the limits, then the faults, have their say."""
        dialect, prompt = call.dialect, call.prompt
        tokens = answers.count_tokens(prompt.text)
        cost = dialect.cost_at_start(prompt, tokens)
        excess = self._limiter.admit(call.scope, cost)
        if excess is not None:
            call.refusal = dialect.limit(self._context(call), excess, retry_after=None)
            return
        if not self._befall(call, tokens):
            call.delay_s = self._latency()

    def _befall(self, call: Call, tokens: int) -> bool:
        """Let window and faults have their say; tell whether the call is refused."""
        dialect, prompt = call.dialect, call.prompt
        window = self.config.window_of(dialect.provider, prompt.model)
        if window is not None and tokens > window:
            said = _TOO_LONG[dialect.provider].format(tokens=tokens, window=window)
            context = self._context(call)
            call.refusal = dialect.refuse(context, Trouble.CONTEXT_LENGTH, message=said)
            return True
        call.fault = self._faults.pick(dialect.provider, prompt.model, prompt.text)
        if call.fault is not None:
            call.entry.fault = call.fault.kind
            if isinstance(call.fault.what, Trouble):
                call.refusal = self._refuse(call, call.fault, call.fault.what)
                return True
        return False

    def _refuse(self, call: Call, fault: Fault, trouble: Trouble) -> Reply:
        context = self._context(call)
        invented = _INVENTED.get(trouble)
        if invented is not None:
            excess = _with_wait(invented, fault.retry_after)
            return call.dialect.limit(context, excess, retry_after=fault.retry_after)
        reply = call.dialect.refuse(context, trouble)
        if fault.retry_after is not None:
            kept = [(name, value) for name, value in reply.headers if name != "retry-after"]
            reply = reply._replace(headers=[*kept, ("retry-after", fault.retry_after)])
        return reply

    def _say(self, call: Call, answer: answers.Answer) -> Reply:
        context = self._context(call)
        if call.prompt.in_background:
            return self._kept.begin(call.dialect.succeed(context, answer))
        if not call.prompt.streams:
            return call.dialect.succeed(context, answer)
        texts = answers.pieces(answer.text, self.config.chunk_tokens)
        return call.dialect.stream(context, call.prompt, answer, texts)

    def _break_off(
        self, call: Call, fault: Fault, reply: Reply, events: tuple[bytes, ...]
    ) -> Reply:
        before = len(events) // 2 if fault.after_events is None else fault.after_events
        usual = call.dialect.refuse(self._context(call), Trouble.OVERLOADED).body
        error = call.dialect.error_event(fault.body.encode() or usual)
        return reply._replace(events=(*events[:before], error))

    def _answer(self, call: Call) -> answers.Answer:
        if call.prompt.weight is not None:
            return answers.weighing(call.prompt.text, call.prompt.weight)
        prompt = call.prompt
        answer = answers.answer_to(
            prompt.text,
            call.sha256,
            tokens=self.config.answer_tokens,
            max_tokens=prompt.max_tokens,
            thinks=call.dialect.thinks(prompt.model),
        )
        return answers.shaped(answer, prompt.wish, call.sha256, max_tokens=prompt.max_tokens)

    def _charge(self, call: Call) -> answers.Answer:
        answer = self._answer(call)
        output = answer.output_tokens + answer.thinking_tokens
        self._limiter.add(call.scope, call.dialect.cost_at_end(output))
        self.bill.charge(call.entry, input_tokens=answer.input_tokens, output_tokens=output)
        return answer

    def _context(self, call: Call) -> Context:
        standings = self._limiter.standings(call.scope) if self.config.limit_headers else {}
        return Context(
            self._next_id(),
            call.prompt.model,
            standings,
            time.time(),
            tells_wait=self.config.retry_after,
            asked=call.prompt.asked,
        )

    def _next_id(self) -> str:
        self._serial += 1
        return f"{self._boot}{self._serial:016x}"

    def _latency(self) -> float:
        median, sigma = self.config.latency_s, self.config.latency_sigma
        if not median or not sigma:
            return median
        return median * self._rng.lognormvariate(0.0, sigma)


_TOO_LONG = {
    Provider.OPENAI: (
        "This model's maximum context length is {window} tokens. However, your messages resulted "
        "in {tokens} tokens. Please reduce the length of the messages."
    ),
    Provider.ANTHROPIC: "prompt is too long: {tokens} tokens > {window} maximum",
    Provider.GEMINI: (
        "The input token count ({tokens}) exceeds the maximum number of tokens allowed ({window})."
    ),
}

# What a fault of this kind says where no limit is configured.
_INVENTED = {
    Trouble.RATE: Excess(Dimension.RPM, limit=500, used=500, requested=1, wait_s=1.0),
    Trouble.DAILY: Excess(Dimension.RPD, limit=10_000, used=10_000, requested=1, wait_s=8640.0),
}


def _with_wait(excess: Excess, retry_after: str | None) -> Excess:
    """Let the message agree with *retry_after*, where that is a number of seconds at all."""
    try:
        wait_s = float(retry_after or "")
    except ValueError:
        return excess
    return replace(excess, wait_s=wait_s) if 0 <= wait_s < 1e6 else excess


def find_dialect(request: Request) -> tuple[Dialect | None, bool]:
    """Return whose request it is, and whether it is a call (else a list of models)."""
    method, path = request.head.method, request.head.path
    if method == "POST":
        if path.startswith(("/v1beta/models/", "/v1/models/")) or "/publishers/" in path:
            return METHODS.get(path.rpartition(":")[2]), True
        return PATHS.get(path.removeprefix("/anthropic").removeprefix("/openai")), True
    if method == "GET" and path.startswith(PATH):
        return DIALECTS[Provider.OPENAI], False
    if method == "GET" and path.startswith(("/v1beta/models", "/v1/models")):
        return DIALECTS[_lister(request)], False
    return None, False


def _lister(request: Request) -> Provider:
    headers = request.head.headers
    if request.head.path.startswith("/v1beta/") or b"x-goog-api-key" in headers:
        return Provider.GEMINI
    return Provider.ANTHROPIC if b"anthropic-version" in headers else Provider.OPENAI


def _fingerprint(key: str) -> str:
    """Name a key without telling it."""
    return sha256(key.encode()).hexdigest()[:8] if key else ""
