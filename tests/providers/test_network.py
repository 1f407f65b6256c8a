"""Proxies and certificate authorities: every adapter takes the way that the settings say."""

import ssl
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
from requests.utils import select_proxy

from promptmill.schema.network import NetworkSettings
from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.secret import Secret
from promptmill.schema.settings import load_settings
from promptmill.workers.providers.base import Answer, Call, Refusal
from promptmill.workers.providers.blocking import lead
from promptmill.workers.providers.http import open_http
from promptmill.workers.providers.registry import make_provider
from tests.providers.dialects import DIALECTS, Harness
from tests.providers.proxy import Proxy
from tests.providers.recorder import Recorder

HOST = "provider.test"
"""Nobody but the proxy knows it."""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    return tmp_path / "authority.pem"


def server_of(authority: trustme.CA) -> Recorder:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST, "127.0.0.1").configure_cert(context)
    return Recorder(tls=context)


def network_of(**told: Any) -> NetworkSettings:
    return NetworkSettings.model_validate(told)


async def asked(name: str, call: Call, origin: str, network: NetworkSettings) -> Answer | Refusal:
    """Send *call* by an adapter of its own, with a client that has this *network*."""
    url = f"{origin}/v1" if name == "openai" else origin
    async with open_http(concurrency=2, network=network) as http:
        provider = make_provider(name, DIALECTS[name].settings(url), http, network)
        reply = await provider.complete(call)
        await provider.close()
    return reply


def test_tls_goes_through_the_proxy_and_trusts_the_authority(
    harness: Harness, name: str, authority: trustme.CA, bundle: Path
) -> None:
    call, streamed = harness.call(), harness.call(stream=True)

    async def scene() -> None:
        async with server_of(authority) as server, Proxy(server.port) as proxy:
            network = network_of(https_proxy=proxy.url, ca_bundle=bundle)
            for each in (call, streamed):
                reply = await asked(name, each, f"https://{HOST}", network)
                assert isinstance(reply, Answer), reply
            assert {line.split()[1] for line in proxy.asked} == {f"{HOST}:443"}
            assert len(server.bodies) == 2
            assert "proxy-authorization" not in server.headers[0]

            there = len(proxy.asked)
            reply = await asked(name, call, f"https://127.0.0.1:{server.port}", network)
            assert isinstance(reply, Answer), reply
            assert len(proxy.asked) == there, "this machine is reached directly"

    harness.run(scene())


def test_what_no_proxy_lets_through_was_never_sent(
    harness: Harness, name: str, authority: trustme.CA, bundle: Path
) -> None:
    call = harness.call()

    async def scene() -> None:
        async with server_of(authority) as server, Proxy(server.port) as proxy:
            wrong = proxy.url.replace("mill:", "nobody:")
            network = network_of(https_proxy=wrong, http_proxy=wrong, ca_bundle=bundle)
            for origin in (f"https://{HOST}", f"http://{HOST}"):
                reply = await asked(name, call, origin, network)
                assert isinstance(reply, Refusal)
                assert reply.kind is ErrorKind.TRANSIENT, reply
                assert "pass" not in repr(reply)
            assert (proxy.asked, server.bodies) == ([], [])
            assert proxy.refused == 2

            network = network_of(https_proxy=proxy.url)  # the system trusts no such server
            reply = await asked(name, call, f"https://{HOST}", network)
            assert isinstance(reply, Refusal)
            unsure = name == "gemini-legacy"
            assert reply.kind is (ErrorKind.UNKNOWN if unsure else ErrorKind.TRANSIENT), reply
            assert server.bodies == []

    harness.run(scene())


def test_a_plain_address_goes_through_the_proxy_too(harness: Harness, name: str) -> None:
    async def scene() -> None:
        async with Recorder() as server, Proxy(server.port) as proxy:
            network = network_of(http_proxy=proxy.url, https_proxy="http://127.0.0.1:1")
            reply = await asked(name, harness.call(), f"http://{HOST}", network)
            assert isinstance(reply, Answer), reply
            assert proxy.asked[0].split()[1].startswith(f"http://{HOST}/")

    harness.run(scene())


@pytest.mark.parametrize(
    ("entries", "url", "direct"),
    [
        ("", "https://api.openai.com/v1", False),
        ("", "http://127.0.0.1:8000/v1", True),
        ("", "http://[::1]:8000/v1", True),
        ("", "https://localhost/v1", True),
        ("*", "https://api.openai.com/v1", True),
        ("openai.com", "https://api.openai.com/v1", True),
        (".openai.com, example.com", "https://api.openai.com/v1", True),
        ("*.OpenAI.com", "https://api.openai.com/v1", True),
        ("openai.com", "https://api.notopenai.com/v1", False),
        ("openai.com:8443", "https://api.openai.com/v1", False),
        ("openai.com:443", "https://api.openai.com/v1", True),
        ("10.0.0.0/8 192.168.1.7", "https://10.9.8.7:8443/", True),
        ("10.0.0.0/8 192.168.1.7", "https://192.168.1.8/", False),
        ("10.0.0.7:8443", "https://10.0.0.7:8443/", True),
        ("fd00::/8", "https://[fd12::1]/", True),
        (".", "https://api.openai.com/v1", False),
    ],
)
def test_no_proxy_is_read_as_others_read_it(entries: str, url: str, direct: bool) -> None:
    proxy = "proxy.test:3128"
    network = network_of(https_proxy=proxy, http_proxy=proxy, no_proxy=entries)
    assert (network.proxy_of(url) is None) == direct


def test_the_names_that_other_programs_know_are_read(
    monkeypatch: pytest.MonkeyPatch, bundle: Path
) -> None:
    for variable, value in {
        "https_proxy": "http://one:3128",
        "HTTPS_PROXY": "http://two:3128",
        "HTTP_PROXY": "three:3128",
        "NO_PROXY": "a.test,b.test",
        "SSL_CERT_FILE": str(bundle),
        "REQUESTS_CA_BUNDLE": "/not/this",
    }.items():
        monkeypatch.setenv(variable, value)
    network = load_settings().network
    assert network.https_proxy is not None
    assert network.https_proxy.reveal() == "http://one:3128"
    assert network.http_proxy is not None
    assert network.http_proxy.reveal() == "http://three:3128"
    assert network.no_proxy == ("a.test", "b.test")
    assert network.ca_bundle == bundle


def test_only_the_provider_is_asked_through_the_proxy_of_a_blocking_session() -> None:
    with requests.Session() as session:
        lead(session, NetworkSettings(https_proxy=Secret("http://proxy:3128")), f"https://{HOST}")
        metadata = "http://metadata.google.internal/computeMetadata"
        assert select_proxy(f"https://{HOST}", session.proxies) == "http://proxy:3128"
        assert select_proxy(metadata, session.proxies) is None
