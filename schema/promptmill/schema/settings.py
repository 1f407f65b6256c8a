"""All settings, and the only place that reads the environment.

Order, first wins: arguments, environment, secret files (`NAME_FILE` names a file that holds
`NAME`), `.env`, `promptmill.toml`, defaults. Every setting has its line in docs/settings.md.
"""

import json
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import BaseModel, BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from promptmill.schema.errors import SettingsError
from promptmill.schema.fallbacks import USUAL, When
from promptmill.schema.network import NetworkSettings
from promptmill.schema.provider_settings import (
    Ceilings,
    LimitSettings,
    Platform,
    PriceSettings,
    ProviderKind,
    ProviderSettings,
    Strict,
    parse_amount,
)
from promptmill.schema.secret import Secret

__all__ = [
    "FILE_BYTES",
    "PREFIX",
    "Ceilings",
    "DispatchSettings",
    "FallbackList",
    "FallbackSettings",
    "GatewaySettings",
    "LimitSettings",
    "NetworkSettings",
    "Platform",
    "PriceSettings",
    "ProviderKind",
    "ProviderSettings",
    "RetentionSettings",
    "RetrySettings",
    "Settings",
    "WorkerSettings",
    "found_names",
    "load_settings",
    "parse_amount",
]

PREFIX = "PROMPTMILL_"
# The names that other programs know; of two, the first wins, as with curl.
_USUAL_NAMES = {
    "REDIS_URL": ["redis_url"],
    "DATABASE_URL": ["database_url"],
    "https_proxy": ["network", "https_proxy"],
    "HTTPS_PROXY": ["network", "https_proxy"],
    "http_proxy": ["network", "http_proxy"],
    "HTTP_PROXY": ["network", "http_proxy"],
    "no_proxy": ["network", "no_proxy"],
    "NO_PROXY": ["network", "no_proxy"],
    "SSL_CERT_FILE": ["network", "ca_bundle"],
    "SSL_CERT_DIR": ["network", "ca_bundle"],
    "REQUESTS_CA_BUNDLE": ["network", "ca_bundle"],
}
FILE_BYTES = 10_000_000


class RetrySettings(Strict):
    """When a job is tried again, and when it is given up."""

    max_attempts: int = Field(default=5, gt=0)
    """attempts that count: refusals by a rate limit do not"""
    max_refusals: int = Field(default=1000, gt=0)
    """refusals (429, 503) before the job fails"""
    max_crashes: int = Field(default=3, gt=0)
    """workers lost with this job in hand before it is quarantined"""
    max_age_s: float = Field(default=7 * 86400, gt=0)
    """after this a job is not tried again"""
    outage_s: float = Field(default=3600.0, ge=0)
    """how long a provider that fails every call uses up no attempts"""
    same_failures: int = Field(default=20, ge=0)
    """equal `request` errors in a row that pause their batch; 0: never"""
    fallback_after_s: float = Field(default=60.0, ge=0)
    """an outage that has lasted so long, or a pause that will, sends jobs to their fallbacks"""
    fallback_deadline_s: float = Field(default=600.0, ge=0)
    """so long before the deadline of its batch, a job that still waits may go to its fallback"""
    base_s: float = Field(default=1.0, gt=0)
    """the first wait is up to this long, each next up to twice as long"""
    cap_s: float = Field(default=60.0, gt=0)
    """the longest wait"""
    on_unknown: Literal["retry", "hold"] = "retry"
    """what to do when a request was sent and no complete answer came"""
    on_invalid: Literal["keep", "retry", "repair", "fail"] = "keep"
    """what to do with an answer that does not follow its schema"""


class WorkerSettings(Strict):
    """How a worker process works."""

    concurrency: int = Field(default=100, gt=0)
    """calls open at once in one process"""
    call_timeout_s: float = Field(default=600.0, gt=0)
    """total deadline round one call, at most"""
    call_timeout_factor: float = Field(default=5.0, ge=0)
    """a call is ended after so many times what 99 of 100 answers of its model took; 0: never so"""
    background_s: float = Field(default=3600.0, gt=0)
    """how long one attempt looks after a response that is made in the background"""
    poll_s: float = Field(default=2.0, gt=0)
    """how often it looks at first; later each tenth of its age, and each half minute"""
    grace_s: float = Field(default=30.0, ge=0)
    """after the first SIGTERM, how long open calls may go on"""
    beat_s: float = Field(default=2.0, gt=0)
    """how often it tells that it lives"""
    group_ms: float = Field(default=5.0, ge=0)
    """how long a commit may wait for company"""
    group_rows: int = Field(default=50, gt=0)
    """most rows of one commit"""
    traces: bool = False
    """a span of each call by OpenTelemetry, sent where its own variables say"""
    request_log: Path | None = None
    """folder for a line of JSON about each call; None: none is written"""
    request_log_bodies: bool = False
    """requests and answers are in it too"""
    request_log_days: float = Field(default=7.0, gt=0)
    """how long its files are kept"""
    spool_dir: Path | None = None
    """where answers are kept while SQL is away; default: `answers` in the state folder"""
    spool_bytes: Annotated[int, BeforeValidator(parse_amount), Field(gt=0)] = 2**30
    """how much one process keeps there"""


class DispatchSettings(Strict):
    """How the dispatcher and the sweeper work."""

    interval_s: float = Field(default=0.25, gt=0)
    """between two looks at what is due"""
    depth_s: float = Field(default=10.0, gt=0)
    """a queue holds about this many seconds of work"""
    depth_min: int = Field(default=50, gt=0)
    """hints that a queue holds at least, while there are jobs"""
    depth_max: int = Field(default=10_000, gt=0)
    """hints in all queues together, about a kilobyte of Redis each"""
    lease_s: float = Field(default=60.0, gt=0)
    """a worker whose beat stands still for this long is dead"""
    sweep_s: float = Field(default=5.0, gt=0)
    """between two looks for dead workers and lost hints"""
    hint_age_s: float = Field(default=10.0, gt=0)
    """a queued job that nobody holds for this long is hinted again"""
    leader_s: float = Field(default=10.0, gt=0)
    """a dispatcher whose beat stands still for this long has lost the lead"""


class CacheSettings(Strict):
    """How a worker compares requests, where a batch takes answers to similar ones."""

    embedder: str = Field(default="local", pattern=r"^(local|[\w.]+:[A-Za-z_]\w*)$")
    """`local`, or a Python function, `package.module:function`: from texts to vectors"""
    entries: int = Field(default=50_000, gt=0)
    """vectors that a worker process holds in memory"""


class GatewaySettings(Strict):
    """What `promptmill serve` takes from its clients."""

    file_bytes: Annotated[int, BeforeValidator(parse_amount), Field(gt=0)] = 200_000_000
    """of one file"""
    lines: Annotated[int, BeforeValidator(parse_amount), Field(gt=0)] = 50_000
    """of a file that a batch is made of"""
    file_days: float = Field(default=30.0, gt=0)
    """how long files are kept"""
    body_bytes: Annotated[int, BeforeValidator(parse_amount), Field(gt=0)] = 1_000_000
    """of a request that is no upload"""
    live_s: float = Field(default=600.0, gt=0)
    """how long a client may wait for the answer to a live call"""
    rpm: int | None = Field(default=None, gt=0)
    """requests a minute of one tenant, where it has no rate of its own; None: any"""
    idle_s: float = Field(default=30.0, gt=0)
    """how long a client may send nothing, or take nothing, in the middle of a request"""
    connections: int = Field(default=1000, gt=0)
    """open at once; one more is answered with 503"""
    grace_s: float = Field(default=10.0, ge=0)
    """after SIGTERM, how long open requests may go on"""


class LaneSettings(Strict):
    """How jobs go by the providers' batch APIs."""

    jobs: int = Field(default=10_000, gt=0)
    """in one provider batch, at most"""
    bytes: Annotated[int, BeforeValidator(parse_amount), Field(gt=0)] = 50_000_000
    """of requests in one provider batch, at most: a worker holds them in memory"""
    window_s: float = Field(default=86_400.0, gt=0)
    """how long a provider batch may take"""
    margin_s: float = Field(default=3600.0, ge=0)
    """so long before the deadline, and what it takes to ask live, jobs leave the lane"""
    interval_s: float = Field(default=2.0, gt=0)
    """how often the lane looks for jobs"""
    poll_s: float = Field(default=30.0, gt=0)
    """from the first look at a provider batch to the second; then longer"""
    poll_max_s: float = Field(default=300.0, gt=0)
    """from one look to the next, at most"""
    settle_s: float = Field(default=900.0, ge=0)
    """so long after it was begun to be handed in, a provider shows a provider batch that it has"""


class CheckSettings(Strict):
    """What prompts should not have in them when they are submitted."""

    policy: Literal["off", "flag", "error"] = "off"
    """nothing is looked for, prompts that have it are marked, or the input is refused"""
    rules: tuple[Literal["control", "script", "template", "injection"], ...] = (
        "control",
        "script",
        "template",
        "injection",
    )
    """what is looked for: control characters, scripts, template marks, known injections"""
    phrases: tuple[str, ...] = ()
    """looked for as well, whatever their case"""
    max_characters: int | None = Field(default=None, gt=0)
    """of all texts in a prompt together; None: any number"""


def _from_json(value: object) -> object:
    """Read what a variable of the environment has to hold as one text."""
    return json.loads(value) if isinstance(value, str) else value


class FallbackSettings(Strict):
    """Another model that is asked."""

    to: str = Field(min_length=1)
    """as -m has it"""
    when: tuple[When, ...] = Field(default=USUAL, min_length=1)


FallbackList = Annotated[tuple[FallbackSettings, ...], BeforeValidator(_from_json)]


class RetentionSettings(Strict):
    """When the leading dispatcher prunes batches that have ended."""

    days: float | None = Field(default=None, gt=0)
    """so long after its last prompt ended, a batch is pruned; None: never"""
    keep_answers: bool = False
    """only prompts and earlier attempts go"""


_DEFAULT_PROVIDERS = {kind.value: {"kind": kind.value} for kind in ProviderKind}


_SECTIONS: tuple[type[BaseModel], ...] = (
    ProviderSettings,
    LimitSettings,
    PriceSettings,
    RetrySettings,
    WorkerSettings,
    DispatchSettings,
    LaneSettings,
    RetentionSettings,
    NetworkSettings,
    GatewaySettings,
    CheckSettings,
)


class Settings(BaseSettings):
    """The one settings object."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        toml_file="promptmill.toml",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    state_dir: Path = Path(".promptmill")
    """where the embedded services keep their files"""
    files_dir: Path | None = None
    """where images that come with answers are kept; default: `files` in the state folder"""
    database_url: str | None = None
    """SQLAlchemy URL; default: SQLite in the state folder"""
    database_password: Secret | None = None
    """put into the URL of a PostgreSQL that names none"""
    redis_url: str | None = None
    """default: the bundled Valkey, started when needed"""
    redis_password: Secret | None = None
    """put into a URL that names none"""
    key_prefix: str = "promptmill:"
    """before every key in Redis"""
    providers: dict[str, ProviderSettings] = Field(default_factory=dict)
    routes: dict[str, str] = Field(default_factory=dict)
    """model, or pattern such as `llama-*`, to provider or provider/model; the first that fits"""
    fallbacks: dict[str, FallbackList] = Field(default_factory=dict)
    """model, or pattern, to the models that are asked where it does not answer, in their order"""
    network: NetworkSettings = NetworkSettings()
    retry: RetrySettings = RetrySettings()
    worker: WorkerSettings = WorkerSettings()
    dispatch: DispatchSettings = DispatchSettings()
    lane: LaneSettings = LaneSettings()
    retention: RetentionSettings = RetentionSettings()
    cache: CacheSettings = CacheSettings()
    checks: CheckSettings = CheckSettings()
    gateway: GatewaySettings = GatewaySettings()
    file_bytes: Annotated[int, BeforeValidator(parse_amount), Field(gt=0)] = FILE_BYTES
    """of local files that one prompt may hold"""
    confirm_above_usd: float = Field(default=5.0, ge=0)
    """an estimate that may be higher is to be confirmed before it is spent"""
    flower_basic_auth: Secret | None = None
    """`user:password`; Flower does not start without it unless it listens on loopback"""
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """where each dispatcher serves /metrics for Prometheus; 0 takes a free port"""
    metrics_host: str = "127.0.0.1"
    """the address that it listens on"""
    log_format: Literal["text", "json"] = "text"
    """how log lines look"""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """least level that is written"""
    parent_fd: int | None = None
    """a pipe held open by the process that started this one; end of file means: stop"""

    @property
    def sql_url(self) -> str:
        """The SQLAlchemy URL, with its password (never log it)."""
        if self.database_url is None:
            return f"sqlite:///{(self.state_dir / 'promptmill.db').absolute()}"
        return self.database_url

    @property
    def files_folder(self) -> Path:
        """The folder of the files that came with answers."""
        return (self.files_dir or self.state_dir / "files").absolute()

    @property
    def spool_dir(self) -> Path:
        """The folder of the answers that SQL has not taken yet."""
        return (self.worker.spool_dir or self.state_dir / "answers").absolute()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put our sources in order; ours replace pydantic's .env and secrets."""
        del env_settings, dotenv_settings, file_secret_settings
        toml = TomlConfigSettingsSource(settings_cls)
        named = _provider_names(init_settings()) | _provider_names(toml())
        environment = _Environment(settings_cls, named)
        return (init_settings, environment, toml, _Defaults(settings_cls, ()))


class _Environment(PydanticBaseSettingsSource):
    """Environment, then secret files, then `.env`, as one nested mapping."""

    def __init__(self, settings_cls: type[BaseSettings], named: Iterable[str]) -> None:
        super().__init__(settings_cls)
        self._named = named
        """providers that the other sources name: their keys have names, too"""

    def get_field_value(self, _field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for name, value in _read(lambda name: name.startswith(PREFIX)).items():
            if value and not name.endswith("_FILE"):
                _put(tree, name.removeprefix(PREFIX).lower().split("__"), value)
        usual = _usual_names({*self._named, *_provider_names(tree), *_DEFAULT_PROVIDERS})
        found = _read(usual.__contains__)
        for name, path in usual.items():
            if found.get(name):
                _put(tree, path, found[name], keep=True)
        return tree


class _Defaults(_Environment):
    """The three providers that everybody has."""

    def __call__(self) -> dict[str, Any]:
        return {"providers": _DEFAULT_PROVIDERS}


def _provider_names(tree: Mapping[str, Any]) -> set[str]:
    providers = tree.get("providers")
    return set(providers) if isinstance(providers, Mapping) else set()


def _usual_names(providers: Iterable[str]) -> dict[str, list[str]]:
    """Map the names that everybody uses to paths of settings; of two, the first is to win."""
    names = {}
    for provider in providers:
        prefix = provider.upper().replace("-", "_")
        names[f"{prefix}_API_KEY"] = ["providers", provider, "api_key"]
        names[f"{prefix}_BASE_URL"] = ["providers", provider, "base_url"]
    names.setdefault("GOOGLE_API_KEY", names["GEMINI_API_KEY"])
    return names | _USUAL_NAMES


def _read(wanted: Callable[[str], bool]) -> dict[str, str]:
    """Read the wanted variables, and those that a NAME_FILE holds, from `.env` and environment."""
    dotenv = {name: value for name, value in dotenv_values(".env").items() if value}
    found = _with_files(dotenv, wanted)
    found.update(_with_files(os.environ, wanted))  # noqa: TID251  the one place
    return found


def _with_files(env: Mapping[str, str], wanted: Callable[[str], bool]) -> dict[str, str]:
    found = {name: value for name, value in env.items() if wanted(name)}
    for name, path in env.items():
        plain = name.removesuffix("_FILE")
        if plain == name or plain in env or not wanted(plain):
            continue
        try:
            found[plain] = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            msg = f"{name} names {path!r}, which cannot be read: {error.strerror}"
            raise SettingsError(msg) from error
    return found


def _put(tree: dict[str, Any], path: list[str], value: str, *, keep: bool = False) -> None:
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            msg = f"{part!r} is a section: set {part.upper()}__NAME in it, see docs/settings.md"
            raise SettingsError(msg)
    if not (keep and path[-1] in tree):
        tree[path[-1]] = value


def load_settings(**overrides: Any) -> Settings:
    """Read all settings once. Raises SettingsError that names each wrong setting."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(part) for part in item['loc'])}: {_told(item)}"
            for item in error.errors(include_input=False, include_url=False)
        ]
        msg = "these settings cannot be used:\n" + "\n".join(lines) + "\n  see docs/settings.md"
        raise SettingsError(msg) from None
    except tomllib.TOMLDecodeError as error:
        msg = f"promptmill.toml is not TOML: {error}; see docs/settings.md"
        raise SettingsError(msg) from None


def _told(item: Any) -> str:
    """Say in our words what pydantic says of a setting; its own where they are good."""
    if item["type"] != "extra_forbidden":
        return str(item["msg"]).removeprefix("Value error, ")
    models: tuple[type[BaseModel], ...] = (Settings, *_SECTIONS)
    known = {name for model in models for name in model.model_fields}
    name = str(item["loc"][-1])
    if name in known:
        return f"{name} is a setting, but not in this section"
    near = get_close_matches(name, sorted(known), n=1)
    return f"there is no such setting{f'; is it {near[0]}?' if near else ''}"


def found_names(settings: Settings) -> dict[str, str]:
    """Tell which variables and files of settings there are, and where: no values."""
    usual = _usual_names(settings.providers)

    def is_ours(name: str) -> bool:
        plain = name.removesuffix("_FILE")
        return plain.startswith(PREFIX) or plain in usual

    found = {name: ".env" for name, value in dotenv_values(".env").items() if value}
    found |= dict.fromkeys(os.environ, "environment")  # noqa: TID251  the one place
    named = {name: where for name, where in sorted(found.items()) if is_ours(name)}
    if Path("promptmill.toml").exists():
        named["promptmill.toml"] = "this folder"
    return named
