"""All settings, from wherever they come.

Order, first wins: arguments, environment, secret files (`NAME_FILE` names a file that holds
`NAME`), `.env`, `promptmill.toml`, defaults. Every setting has its line in docs/settings.md.
"""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from promptmill.schema.environment import (
    DEFAULTS,
    PREFIX,
    environment,
    key_variable,
    provider_names,
    pydantic_alone,
)
from promptmill.schema.errors import SettingsError
from promptmill.schema.network import NetworkSettings
from promptmill.schema.pools import PoolSettings, check_pools, priced_as
from promptmill.schema.provider_kinds import ProviderKind
from promptmill.schema.provider_settings import (
    Ceilings,
    LimitSettings,
    Platform,
    PriceSettings,
    ProviderSettings,
    parse_amount,
)
from promptmill.schema.requests import FILE_BYTES
from promptmill.schema.secret import Secret
from promptmill.schema.sections import (
    CacheSettings,
    CheckSettings,
    DispatchSettings,
    FallbackList,
    FallbackSettings,
    GatewaySettings,
    LaneSettings,
    PiiSettings,
    RetentionSettings,
    RetrySettings,
    WorkerSettings,
)
from promptmill.schema.webhook_settings import WebhookSettings

__all__ = [
    "PREFIX",
    "CacheSettings",
    "Ceilings",
    "CheckSettings",
    "DispatchSettings",
    "FallbackList",
    "FallbackSettings",
    "GatewaySettings",
    "LaneSettings",
    "LimitSettings",
    "NetworkSettings",
    "PiiSettings",
    "Platform",
    "PoolSettings",
    "PriceSettings",
    "ProviderKind",
    "ProviderSettings",
    "RetentionSettings",
    "RetrySettings",
    "Settings",
    "WebhookSettings",
    "WorkerSettings",
    "load_settings",
    "parse_amount",
]

_TOML = "promptmill.toml"
_PLAIN_WORDS = {
    "missing": "has to be set",
    "int_type": "write a whole number",
    "int_parsing": "write a whole number",
    "int_from_float": "write a whole number",
    "float_type": "write a number",
    "float_parsing": "write a number",
    "finite_number": "write a number that is not infinite",
    "greater_than": "write more than {gt:.10g}",
    "greater_than_equal": "write {ge:.10g} or more",
    "less_than_equal": "write {le:.10g} or less",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "string_type": "write a text, in quotes",
    "literal_error": "write {expected}",
    "enum": "write {expected}",
    "dict_type": "is a section: set the names in it",
    "model_type": "is a section: set the names in it",
}
"""by pydantic's types of errors"""
_SECTIONS: tuple[type[BaseModel], ...] = (
    ProviderSettings,
    PoolSettings,
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
    PiiSettings,
    CacheSettings,
    WebhookSettings,
)


class Settings(BaseModel):
    """The one settings object. What it is not given it reads from the other sources."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

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
    pools: dict[str, PoolSettings] = Field(default_factory=dict)
    """keys and endpoints that share what is asked of the pool, by weight"""
    routes: dict[str, str] = Field(default_factory=dict)
    """model, or pattern such as `llama-*`, to whom it is asked of (a provider, a pool), or
    provider/model; the first that fits"""
    fallbacks: dict[str, FallbackList] = Field(default_factory=dict)
    """model, or pattern, to the models that are asked where it does not answer, in their order"""
    network: NetworkSettings = NetworkSettings.unset()
    retry: RetrySettings = RetrySettings.unset()
    worker: WorkerSettings = WorkerSettings.unset()
    dispatch: DispatchSettings = DispatchSettings.unset()
    lane: LaneSettings = LaneSettings.unset()
    retention: RetentionSettings = RetentionSettings.unset()
    cache: CacheSettings = CacheSettings.unset()
    checks: CheckSettings = CheckSettings.unset()
    pii: PiiSettings = PiiSettings.unset()
    gateway: GatewaySettings = GatewaySettings.unset()
    webhooks: WebhookSettings = WebhookSettings.unset()
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
    def kinds(self) -> dict[str, ProviderKind]:
        """Tell whose wire format whoever may be asked speaks: providers and pools."""
        kinds = {name: provider.kind for name, provider in self.providers.items()}
        return kinds | {name: kinds[priced_as(name, self.pools)] for name in self.pools}

    @field_validator("pools")
    @classmethod
    def _pools_can_be_dealt(
        cls, pools: dict[str, PoolSettings], info: ValidationInfo
    ) -> dict[str, PoolSettings]:
        if "providers" in info.data:  # else what is wrong with those is told
            check_pools(pools, info.data["providers"])
        return pools

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

    def __init__(self, **given: Any) -> None:
        _make_ready()
        super().__init__(**_gathered(given))


def load_settings(**overrides: Any) -> Settings:
    """Read all settings once. Raises SettingsError that names each wrong setting."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [
            f"  {_named(item['loc'])}: {_told(item)}"
            for item in error.errors(include_input=False, include_url=False)
        ]
        msg = "these settings cannot be used:\n" + "\n".join(lines) + "\n  see docs/settings.md"
        raise SettingsError(msg) from None


@cache
def _make_ready() -> None:
    """Build what checks all settings, unseen by plugins of pydantic: keys are among them."""
    with pydantic_alone():
        Settings.model_rebuild()


def _gathered(given: Mapping[str, Any]) -> dict[str, Any]:
    """Put the sources over each other, *given* on top."""
    arguments, toml = _plain(given), _toml()
    named = provider_names(arguments) | provider_names(toml)
    tree: dict[str, Any] = {}
    for source in (DEFAULTS, toml, environment(named), arguments):
        tree = _filled_up(source, tree)
    return tree


def _toml() -> dict[str, Any]:
    path = Path(_TOML)
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{_TOML} of this folder cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        msg = f"{_TOML} of this folder is not UTF-8: save it so"
    except tomllib.TOMLDecodeError as error:
        msg = f"{_TOML} is not TOML: {error}; see docs/settings.md"
    raise SettingsError(msg)


def _filled_up(tree: Mapping[str, Any], lower: Mapping[str, Any]) -> dict[str, Any]:
    """Put what *lower* alone has into *tree*, in each section; that of *lower* comes first."""
    filled = {**lower, **tree}
    for name in lower.keys() & tree.keys():
        if isinstance(lower[name], dict) and isinstance(tree[name], dict):
            filled[name] = _filled_up(tree[name], lower[name])
    return filled


def _plain(value: Any) -> Any:
    """Write sections as mappings, so that they can be merged."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return value


def _named(path: tuple[int | str, ...]) -> str:
    """Name a setting; a key by the variables that hold it, too."""
    name = ".".join(map(str, path))
    match path:
        case ("providers", str(provider), "api_key"):
            return f"{name} ({key_variable(provider)}, {key_variable(provider)}_FILE)"
        case _:
            return name


def _told(item: Any) -> str:
    """Say in plain words what pydantic says of a setting; its own where they are ours."""
    if item["type"] in _PLAIN_WORDS:
        return _PLAIN_WORDS[item["type"]].format_map(item.get("ctx", {}))
    if item["type"] != "extra_forbidden":
        return str(item["msg"]).removeprefix("Value error, ")
    models: tuple[type[BaseModel], ...] = (Settings, *_SECTIONS)
    known = {name for model in models for name in model.model_fields}
    name = str(item["loc"][-1])
    if name in known:
        return f"{name} is a setting, but not in this section"
    near = get_close_matches(name, sorted(known), n=1)
    return f"there is no such setting{f'; is it {near[0]}?' if near else ''}"
