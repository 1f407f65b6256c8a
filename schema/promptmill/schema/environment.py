"""Settings from the environment, secret files and `.env`: the only place that reads them."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from promptmill.schema.errors import SettingsError
from promptmill.schema.provider_kinds import ProviderKind

PREFIX = "PROMPTMILL_"
_DOTENV: Final = ".env"
_NO_PLUGINS: Final = "PYDANTIC_DISABLE_PLUGINS"
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
DEFAULTS = {"providers": {kind.value: {"kind": kind.value} for kind in ProviderKind}}
"""The three providers that everybody has."""


def environment(named: Iterable[str]) -> dict[str, Any]:
    """Read environment, then secret files, then `.env`, as one nested mapping.

    *named*: providers that the other sources name; their keys have names, too.
    """
    tree: dict[str, Any] = {}
    for name, value in _read(lambda name: name.startswith(PREFIX)).items():
        if value and not name.endswith("_FILE"):
            _put(tree, name.removeprefix(PREFIX).lower().split("__"), value)
    providers = {*named, *provider_names(tree), *provider_names(DEFAULTS)}
    _name_members(tree, providers)
    usual = _usual_names(providers)
    found = _read(usual.__contains__)
    for name, path in usual.items():
        if found.get(name):
            _put(tree, path, found[name], keep=True)
    return tree


@contextmanager
def pydantic_alone() -> Iterator[None]:
    """Let pydantic look for no plugins, which takes it 10 ms, while the block lasts."""
    before = os.environ.get(_NO_PLUGINS)  # noqa: TID251  the one place
    os.environ[_NO_PLUGINS] = "1"  # noqa: TID251
    try:
        yield
    finally:
        del os.environ[_NO_PLUGINS]  # noqa: TID251
        if before is not None:
            os.environ[_NO_PLUGINS] = before  # noqa: TID251


def provider_names(tree: Mapping[str, Any]) -> set[str]:
    providers = tree.get("providers")
    return set(providers) if isinstance(providers, Mapping) else set()


def key_variable(provider: str) -> str:
    """Name the variable that everybody uses for the key of *provider*: OPENAI_API_KEY."""
    return f"{_prefix(provider)}_API_KEY"


def _prefix(provider: str) -> str:
    return provider.upper().replace("-", "_")


def _usual_names(providers: Iterable[str]) -> dict[str, list[str]]:
    """Map the names that everybody uses to paths of settings; of two, the first is to win."""
    names = {}
    for provider in providers:
        names[key_variable(provider)] = ["providers", provider, "api_key"]
        names[f"{_prefix(provider)}_BASE_URL"] = ["providers", provider, "base_url"]
    names.setdefault("GOOGLE_API_KEY", names["GEMINI_API_KEY"])
    return names | _USUAL_NAMES


def _read(wanted: Callable[[str], bool]) -> dict[str, str]:
    """Read the wanted variables, and those that a NAME_FILE holds, from `.env` and environment."""
    found = _with_files(_dotenv(), wanted)
    found.update(_with_files(os.environ, wanted))  # noqa: TID251  the one place
    return found


def _dotenv() -> dict[str, str]:
    if not Path(_DOTENV).exists():
        return {}
    # Importing it takes longer than all else here, and often there is no such file.
    from dotenv import dotenv_values  # noqa: PLC0415

    try:
        return {name: value for name, value in dotenv_values(_DOTENV).items() if value}
    except OSError as error:
        msg = f"{_DOTENV} of this folder cannot be read: {error.strerror}"
        raise SettingsError(msg) from error
    except UnicodeDecodeError:  # which holds all of it
        msg = f"{_DOTENV} of this folder is not UTF-8: save it so"
        raise SettingsError(msg) from None


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
        except UnicodeDecodeError:
            msg = f"{name} names {path!r}, which is not text in UTF-8"
            raise SettingsError(msg) from None
    return found


def _put(tree: dict[str, Any], path: list[str], value: str, *, keep: bool = False) -> None:
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            msg = f"{part!r} is a section: set {part.upper()}__NAME in it, see docs/settings.md"
            raise SettingsError(msg)
    if not (keep and path[-1] in tree):
        tree[path[-1]] = value


def _name_members(tree: Mapping[str, Any], providers: Iterable[str]) -> None:
    """Give members of pools the names of *providers* that no variable can have: `openai-b`."""
    names = {name.replace("-", "_"): name for name in sorted(providers)}
    pools = tree.get("pools")
    for pool in pools.values() if isinstance(pools, dict) else ():
        members = pool.get("members") if isinstance(pool, dict) else None
        if isinstance(members, dict):
            pool["members"] = {names.get(name, name): of for name, of in members.items()}


def found_names(providers: Iterable[str]) -> dict[str, str]:
    """Tell which variables and files of settings there are, and where: no values.

    *providers* are those whose keys have names of their own.
    """
    usual = _usual_names(providers)

    def is_ours(name: str) -> bool:
        plain = name.removesuffix("_FILE")
        return plain.startswith(PREFIX) or plain in usual

    found = dict.fromkeys(_dotenv(), _DOTENV)
    found |= dict.fromkeys(os.environ, "environment")  # noqa: TID251  the one place
    named = {name: where for name, where in sorted(found.items()) if is_ours(name)}
    if Path("promptmill.toml").exists():
        named["promptmill.toml"] = "this folder"
    return named
