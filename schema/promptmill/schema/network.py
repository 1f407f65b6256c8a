"""How requests to providers leave this machine: through which proxy, and whom they trust."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, BeforeValidator

from promptmill.schema.provider_settings import Strict
from promptmill.schema.secret import Secret

_PORTS: Final = {"http": 80, "https": 443}


def _check_proxy(proxy: Secret) -> Secret:
    """Complete `host:port` to a URL. Raises ValueError, without the URL: it may hold a password."""
    told = proxy.reveal()
    url = told if "://" in told else f"http://{told}"
    problem = "a proxy is http://host:port or https://host:port, with user:password@ if need be"
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        msg = f"{problem}; of this kind ({parts.scheme}) none is spoken"
        raise ValueError(msg)
    if not parts.hostname or not _is_port(url):
        raise ValueError(problem)
    return Secret(url)


def _is_port(url: str) -> bool:
    try:
        _ = urlsplit(url).port
    except ValueError:
        return False
    return True


def _hosts(told: Any) -> Any:
    return told.replace(",", " ").split() if isinstance(told, str) else told


Proxy = Annotated[Secret, AfterValidator(_check_proxy)]
Hosts = Annotated[tuple[str, ...], BeforeValidator(_hosts)]


class NetworkSettings(Strict):
    """The way to all providers."""

    https_proxy: Proxy | None = None
    """through which addresses of https are reached; None: directly"""
    http_proxy: Proxy | None = None
    """the same for those of http"""
    no_proxy: Hosts = ()
    """hosts, domains and networks that are reached directly; `*`: all"""
    ca_bundle: Path | None = None
    """file or folder of certificate authorities, trusted in the place of the system's"""

    def proxy_of(self, url: str) -> Secret | None:
        """Return the proxy through which *url* is reached; this machine itself is never."""
        parts = urlsplit(url)
        proxy = self.https_proxy if parts.scheme == "https" else self.http_proxy
        if proxy is None:
            return None
        port = parts.port or _PORTS.get(parts.scheme, 0)
        return None if is_direct(parts.hostname or "", port, self.no_proxy) else proxy


DIRECT: Final = NetworkSettings.unset()


def is_direct(host: str, port: int, entries: Iterable[str]) -> bool:
    """Tell whether *host* is of this machine, or one of *entries*, which are as in NO_PROXY.

    `example.com` and `.example.com` are the domain and all below it; `10.0.0.0/8` is a network;
    `host:port` is that port only.
    """
    host = host.rstrip(".").lower()
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_covers(entry.lower(), host, port) for entry in entries)


def shown_proxy(proxy: Secret) -> str:
    """Name a proxy for people: without user and password."""
    parts = urlsplit(proxy.reveal())
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _covers(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    address, network = _address(host), _network(entry)
    if network is not None:
        return address is not None and address in network
    name, _, only = entry.rpartition(":")
    if name and only.isdigit():
        return int(only) == port and _covers(name.strip("[]"), host, port)
    domain = entry.removeprefix("*").strip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _address(host: str) -> Any:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _network(entry: str) -> Any:
    try:
        return ip_network(entry, strict=False)
    except ValueError:
        return None
