"""`python -m promptmill.simulator`: prints its base URLs as one line of JSON, then serves."""

import argparse
import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

import msgspec

from promptmill.simulator.config import (
    Dimension,
    Shape,
    SimulatorConfig,
    load_config,
    parse_amount,
)
from promptmill.simulator.dialects.base import encode
from promptmill.simulator.engine import Engine
from promptmill.simulator.server import Listener


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM, SIGINT, or the end of the pipe at --parent-fd. 2: wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        config = _config(options)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"promptmill.simulator: {error}\n")
        return 2
    _raise_file_limit()
    try:
        asyncio.run(_serve(config, options.parent_fd))
    except OSError as error:
        sys.stderr.write(f"promptmill.simulator: cannot serve: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m promptmill.simulator",
        description="A stand-in for OpenAI, Anthropic and Gemini on one port.",
    )
    parser.add_argument("--config", type=Path, help="a TOML file; flags win over it")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int, help="0, the default, takes a free one")
    parser.add_argument("--latency", type=float, metavar="SECONDS")
    parser.add_argument("--latency-sigma", type=float, metavar="SIGMA", help="lognormal")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--answer-tokens", type=int, metavar="N")
    parser.add_argument("--chunk-tokens", type=int, metavar="N", help="in an event of a stream")
    parser.add_argument("--chunk-interval", type=float, metavar="SECONDS", help="between events")
    parser.add_argument("--key", action="append", metavar="KEY", help="accept only these keys")
    parser.add_argument("--shape", choices=[shape.value for shape in Shape])
    parser.add_argument("--burst", type=float, metavar="SECONDS", help="what a bucket holds")
    for dimension in Dimension:
        parser.add_argument(f"--{dimension.value}", type=_amount, metavar="N", help="as 200k")
    for name, meaning in (
        ("limit-headers", "no header tells a limit"),
        ("retry-after", "a refusal by a limit does not say when to come back"),
    ):
        dest = name.replace("-", "_")
        parser.add_argument(f"--no-{name}", dest=dest, action="store_false", help=meaning)
    parser.set_defaults(limit_headers=None, retry_after=None)
    parser.add_argument("--fault", action="append", metavar="JSON", help='{"kind": "rate", ...}')
    parser.add_argument("--parent-fd", type=int, help="a pipe; its end is ours")
    return parser


def _amount(text: str) -> float:
    try:
        return parse_amount(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _config(options: argparse.Namespace) -> SimulatorConfig:
    """Lay the flags over the file."""
    base = load_config(options.config) if options.config else SimulatorConfig()
    flags = {
        "host": options.host,
        "port": options.port,
        "latency_s": options.latency,
        "latency_sigma": options.latency_sigma,
        "seed": options.seed,
        "answer_tokens": options.answer_tokens,
        "chunk_tokens": options.chunk_tokens,
        "chunk_interval_s": options.chunk_interval,
        "keys": options.key,
        "limit_headers": options.limit_headers,
        "retry_after": options.retry_after,
    }
    limits = {dimension.value: getattr(options, dimension.value) for dimension in Dimension}
    limits |= {"shape": options.shape, "burst_s": options.burst}
    over = {name: value for name, value in flags.items() if value is not None}
    if options.fault:
        over["faults"] = [msgspec.json.decode(text) for text in options.fault]
    over["limits"] = msgspec.to_builtins(base.limits) | {
        name: value for name, value in limits.items() if value is not None
    }
    return msgspec.convert(msgspec.to_builtins(base) | over, SimulatorConfig)


def _raise_file_limit() -> None:
    """Allow as many connections as the system lets us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve(config: SimulatorConfig, parent_fd: int | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if parent_fd is not None:
        loop.add_reader(parent_fd, _watch, parent_fd, stop)
    listener = Listener(Engine(config))
    addresses = await listener.start()
    line = encode(
        {
            "url": addresses.url,
            "openai_url": addresses.openai_url,
            "anthropic_url": addresses.anthropic_url,
            "gemini_url": addresses.gemini_url,
            "pid": os.getpid(),
        }
    )
    sys.stdout.write(line.decode() + "\n")
    sys.stdout.flush()
    await stop.wait()
    await listener.stop()


def _watch(parent_fd: int, stop: asyncio.Event) -> None:
    if not os.read(parent_fd, 4096):
        asyncio.get_running_loop().remove_reader(parent_fd)
        stop.set()


if __name__ == "__main__":
    sys.exit(main())
