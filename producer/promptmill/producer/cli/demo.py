"""`promptmill demo`: the whole of it without a key, a network or a service.

Real prompts through real Celery workers and the real SDKs over HTTP, to the simulator, which
limits, refuses and fails now and then as providers do. The state is kept in `demo/` of the state
folder, apart from yours.
"""

import json
import os
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Any

import typer

from promptmill.producer.cli.answering import Interrupted, answer_here
from promptmill.producer.cli.output import note
from promptmill.producer.cli.sql import print_table
from promptmill.producer.cli.views import choose_view
from promptmill.producer.cli.watch import EXIT_INTERRUPTED, exit_code
from promptmill.producer.figures import duration, plural
from promptmill.producer.limits.run_limits import keep_limits
from promptmill.producer.submitting.request import SubmitRequest
from promptmill.producer.submitting.submission import submit
from promptmill.schema.database import Database
from promptmill.schema.errors import ServiceError
from promptmill.schema.migrate import upgrade
from promptmill.schema.private import private_folder
from promptmill.schema.reading import batch_usage, latest_batches
from promptmill.schema.settings import PREFIX, Settings, load_settings

_MODELS = ("gpt-4o-mini", "claude-haiku-4-5", "gemini-2.5-flash")
_PROVIDERS = ("openai", "anthropic", "gemini")
_RPM = 3000
_FAULTS = (
    {"kind": "rate", "every": 173, "retry_after": "1", "count": 2},
    {"kind": "server_error", "every": 97},
    {"kind": "overloaded", "every": 241},
)
_THINGS = (
    "a bicycle",
    "a lighthouse",
    "a teapot",
    "a night train",
    "a bakery",
    "a glacier",
    "an owl",
)
_ASKS = (
    "Write a one-line slogan for {thing}.",
    "What would a child ask about {thing}?",
    "Name three things that go with {thing}.",
    "Describe {thing} to somebody who has never seen one.",
    "Is '{thing}' a good name for a boat? Answer in a sentence.",
)
_QUERY = """select provider, model, count(*) as answers, sum(output_tokens) as output_tokens,
    cast(avg(latency_ms) as int) as mean_ms from promptmill_results
    where batch_id = {batch_id} group by provider, model order by provider"""


def play(prompts: int, *, new: bool, as_json: bool) -> None:
    """Answer so many *prompts*, and exit with the code that tells how it went."""
    began = time.monotonic()
    home = load_settings().state_dir.absolute() / "demo"
    private_folder(home)
    with _simulator() as urls:
        env = _environment(home, urls)
        settings = _settings(home, urls)
        note(f"✓ simulator   OpenAI, Anthropic and Gemini over HTTP at {urls['url']}")
        database = Database.from_settings(settings)
        upgrade(database)
        note(f"✓ sql         {home / 'promptmill.db'}")
        stored = submit(
            database, SubmitRequest(_write_prompts(home, prompts), name="demo", new=new), settings
        )
        note(
            f"✓ batch {stored.batch_id}     {plural(stored.total, 'prompt')};"
            " Ctrl-C stops, the same command goes on"
        )
        keep_limits(database, stored.batch_id, {"rpm": _RPM})
        used_before = _tokens_used(database)
        try:
            progress = answer_here(
                settings,
                database,
                stored.batch_id,
                _PROVIDERS,
                view=choose_view(as_json=as_json),
                env=env,
            )
        except Interrupted:
            raise typer.Exit(EXIT_INTERRUPTED) from None
        bill_is_right = _compare_bill(database, urls["url"], used_before)
    overall = progress.overall
    note(
        f"✓ {overall.succeeded:,} of {overall.total:,} answered"
        f" in {duration(time.monotonic() - began)}   {overall.refusals} refusals (429, 503)"
        f"   {overall.retries} retries   {overall.failed} failed"
    )
    _show_sql(database, stored.batch_id, home)
    database.close()
    raise typer.Exit(exit_code(progress) if bill_is_right else 1)


def _tokens_used(database: Database) -> tuple[int, int]:
    """Sum the tokens, in and out, of all attempts: a batch left open by an earlier demo goes on."""
    with database.read() as connection:
        batches = latest_batches(connection, most=sys.maxsize)
        used = [one for batch in batches for one in batch_usage(connection, batch.id)]
    return sum(one.input_tokens for one in used), sum(one.output_tokens for one in used)


def _compare_bill(database: Database, url: str, used_before: tuple[int, int]) -> bool:
    """Hold what this simulator charged against what the attempts say since it started."""
    with urllib.request.urlopen(f"{url}/_simulator/bill/summary", timeout=10) as reply:  # noqa: S310
        billed = json.loads(reply.read())["total"]
    used = _tokens_used(database)
    ours = (used[0] - used_before[0], used[1] - used_before[1])
    theirs = (billed["input_tokens"], billed["output_tokens"])
    if not billed["requests"]:
        note("✓ bill        nothing was asked: this batch had its answers (--new asks again)")
        return True
    if ours != theirs:
        note(
            f"✗ bill        the simulator charged {theirs} tokens in, out; the attempts say {ours}"
        )
        return False
    note(
        f"✓ bill        {theirs[0]:,} tokens in, {theirs[1]:,} out,"
        f" {plural(billed['requests'], 'request')}: the simulator and the attempts agree"
    )
    return True


def _show_sql(database: Database, batch_id: int, home: Path) -> None:
    query = _QUERY.format(batch_id=batch_id)
    note(f"\nThe rows are in {home / 'promptmill.db'}. Ask them with any SQLite client, or:\n")
    note(f'  {PREFIX}STATE_DIR={quote(str(home))} ./run sql "{query}"\n')
    print_table(database, query)
    note("\nAgain       ./run demo --new")
    note("Your own    ./run run prompts.jsonl -m gpt-4o-mini, with OPENAI_API_KEY set")


def _write_prompts(home: Path, count: int) -> Path:
    path = home / f"prompts-{count}.jsonl"
    rng = random.Random(count)
    with path.open("w", encoding="utf-8") as file:
        for number in range(1, count + 1):
            ask = rng.choice(_ASKS).format(thing=rng.choice(_THINGS))
            messages = [{"role": "user", "content": f"{ask} (No. {number})"}]
            line = {
                "custom_id": f"demo-{number}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {
                    "model": _MODELS[number % len(_MODELS)],
                    "messages": messages,
                    "max_tokens": 120,
                },
            }
            file.write(json.dumps(line) + "\n")
    return path


def _settings(home: Path, urls: dict[str, str]) -> Settings:
    providers = {
        name: {
            "kind": name,
            "base_url": urls[f"{name}_url"],
            "api_key": f"demo-key-for-{name}",
            "limits": {"rpm": _RPM},
        }
        for name in _PROVIDERS
    }
    return load_settings(
        state_dir=home,
        database_url=f"sqlite:///{home / 'promptmill.db'}",
        redis_url=None,
        providers=providers,
    )


def _environment(home: Path, urls: dict[str, str]) -> dict[str, str]:
    """Tell the children the same as `_settings`."""
    env = {f"{PREFIX}DATABASE_URL": f"sqlite:///{home / 'promptmill.db'}"}
    for name in _PROVIDERS:
        here = f"{PREFIX}PROVIDERS__{name.upper()}__"
        env |= {
            f"{here}BASE_URL": urls[f"{name}_url"],
            f"{here}API_KEY": f"demo-key-for-{name}",
            f"{here}LIMITS__RPM": str(_RPM),
        }
    return env


@contextmanager
def _simulator() -> Iterator[dict[str, Any]]:
    """Run the simulator as a process that ends with this one; yield its URLs."""
    their_end, our_end = os.pipe()
    command = [sys.executable, "-m", "promptmill.simulator", "--port", "0", "--seed", "7"]
    command += ["--latency", "0.12", "--latency-sigma", "0.4", "--rpm", str(_RPM)]
    command += ["--parent-fd", str(their_end)]
    for fault in _FAULTS:
        command += ["--fault", json.dumps(fault)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, pass_fds=(their_end,), start_new_session=True
    )
    os.close(their_end)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            msg = f"the simulator did not start (exit code {process.wait()})"
            raise ServiceError(msg)
        yield json.loads(line)
    finally:
        os.close(our_end)
        process.terminate()
        process.wait(10)
