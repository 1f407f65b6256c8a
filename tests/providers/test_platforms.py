"""Clouds that serve the models of others: their addresses, their credentials, their prices."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials

from promptmill.schema.errors import SettingsError
from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.prices import price_list_of
from promptmill.schema.settings import ProviderSettings, load_settings
from promptmill.workers.providers.base import Answer, Call, Provider, Refusal
from promptmill.workers.providers.registry import make_provider
from tests.providers.dialects import CANARY, Harness
from tests.providers.recorder import TOKEN, Recorder

_TALK: Any = [{"role": "user", "content": "Zanzibar"}]
_WHOLE = "kind = 'gemini'\nplatform = 'vertex'\nproject = 'p'\nregion = 'global'\n"
_ACCESS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-of-aws"}


def settings_of(platform: str, kind: str, base_url: str, **more: Any) -> ProviderSettings:
    place = {"vertex": {"project": "p-1", "region": "global"}, "bedrock": {"region": "us-east-1"}}
    told = {"kind": kind, "platform": platform, "base_url": base_url, **place.get(platform, {})}
    return ProviderSettings.model_validate(told | more)


async def claude_on_vertex(url: str) -> None:
    client = anthropic.AsyncAnthropicVertex(
        region="global", project_id="p-1", base_url=f"{url}/v1", access_token=TOKEN, max_retries=0
    )
    await client.messages.with_raw_response.create(model="m@1", messages=_TALK, max_tokens=9)
    await client.close()


async def claude_on_bedrock(url: str) -> None:
    client = anthropic.AsyncAnthropicBedrockMantle(
        aws_region="us-east-1", base_url=f"{url}/anthropic", api_key=CANARY, max_retries=0
    )
    await client.messages.with_raw_response.create(model="m@1", messages=_TALK, max_tokens=9)
    await client.close()


async def gemini_on_vertex(url: str) -> None:
    http = httpx2.AsyncClient()
    options = types.HttpOptions(base_url=url, httpx_async_client=http)
    token: Any = Credentials(TOKEN)  # type: ignore[no-untyped-call]
    client = genai.Client(
        vertexai=True, project="p-1", location="global", credentials=token, http_options=options
    )
    config = types.GenerateContentConfig(max_output_tokens=9)
    content = types.Content(role="user", parts=[types.Part(text="Zanzibar")])
    await client.aio.models.generate_content(model="m@1", contents=[content], config=config)
    await http.aclose()


PUBLIC: dict[str, tuple[Callable[[str], Awaitable[None]], str, str, str, dict[str, Any]]] = {
    "claude-on-vertex": (claude_on_vertex, "vertex", "anthropic", "/v1", {}),
    "claude-on-bedrock": (
        claude_on_bedrock, "bedrock", "anthropic", "/anthropic", {"api_key": CANARY},
    ),
    "gemini-on-vertex": (gemini_on_vertex, "vertex", "gemini", "", {}),
}  # fmt: skip


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(*pem, serialization.NoEncryption()).decode()


@pytest.fixture
def log_in(
    private_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Return what makes google-auth find a service account whose tokens come from an address."""

    def log_in_at(token_uri: str) -> None:
        account = {
            "type": "service_account",
            "client_email": "mill@p-1.iam.gserviceaccount.com",
            "private_key": private_key,
            "token_uri": token_uri,
        }
        (tmp_path / "account.json").write_text(json.dumps(account))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))

    return log_in_at


@pytest.mark.parametrize("place", PUBLIC)
def test_what_goes_out_is_what_the_public_call_would_send(
    harness: Harness, log_in: Callable[[str], None], place: str
) -> None:
    call_publicly, platform, kind, path, more = PUBLIC[place]

    async def record() -> Recorder:
        async with Recorder() as recorder, Recorder() as tokens:
            log_in(f"{tokens.url}/token")
            settings = settings_of(platform, kind, f"{recorder.url}{path}", **more)
            provider = make_provider("cloud", settings, harness.http)
            await call_publicly(recorder.url)
            body = {"messages": _TALK, "max_tokens": 9}
            for _ in range(2):
                call = Call(model="m@1", body=body, request_id="j1-f1", timeout_s=20)
                assert isinstance(await provider.complete(call), Answer)
            assert len(tokens.bodies) == (platform == "vertex"), "a token serves for many calls"
            return recorder

    harness.run(record()).must_be_alike()


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("place", "path", "model", "listed"),
    [
        (("azure", "openai"), "/openai/v1", "my-deployment", "gpt-4o"),
        (("vertex", "gemini"), "", "gemini-2.5-flash", ""),
        (("vertex", "anthropic"), "/v1", "claude-haiku-4-5@20251001", ""),
        (
            ("bedrock", "anthropic"),
            "/anthropic",
            "anthropic.claude-haiku-4-5",
            "global.anthropic.claude-haiku-4-5-20251001-v1:0",
        ),
    ],
)
def test_an_answer_of_a_platform_is_read_and_priced(  # noqa: PLR0917  pytest's arguments
    harness: Harness,
    log_in: Callable[[str], None],
    place: tuple[str, str],
    path: str,
    model: str,
    listed: str,
    streamed: bool,
) -> None:
    more: dict[str, Any] = {"deployments": {model: listed}} if listed else {}
    if place[0] != "vertex":
        more["api_key"] = CANARY
    call = harness.call(model=model, stream=streamed)

    async def ask() -> Answer | Refusal:
        async with Recorder() as tokens:
            log_in(f"{tokens.url}/token")
            provider = make_provider("cloud", settings, harness.http)
            return await provider.complete(call)

    settings = settings_of(*place, f"{harness.simulator.url}{path}", **more)
    answer = harness.run(ask())
    assert isinstance(answer, Answer), answer
    (row,) = harness.rows(call)
    assert answer.usage is not None
    assert (answer.usage.input_tokens, row.model) == (row.input_tokens, model)
    assert (answer.first_token_s is not None) == streamed
    prices = price_list_of("cloud", settings)
    tariff, window = prices.tariff_now(model), prices.window(model)
    assert tariff is not None
    assert tariff.cost_micros(answer.usage)
    assert window


def signature_of(recorder: Recorder) -> str:
    """Sign again, by botocore, what came to the server."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials as AwsKeys

    sent = recorder.headers[0]
    url = f"http://{sent['host']}{recorder.paths[0]}"
    headers = {"host": sent["host"], "x-amz-date": sent["x-amz-date"]}
    request = AWSRequest("POST", url, headers=headers, data=recorder.raw[0])
    request.context["timestamp"] = sent["x-amz-date"]
    auth = SigV4Auth(AwsKeys(*_ACCESS.values()), "bedrock", "us-east-1")
    text = auth.string_to_sign(request, auth.canonical_request(request))
    return str(auth.signature(text, request))


def test_bedrock_gets_a_signature_of_what_it_gets(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in _ACCESS.items():
        monkeypatch.setenv(name, value)

    async def record() -> Recorder:
        async with Recorder() as recorder:
            settings = settings_of("bedrock", "anthropic", f"{recorder.url}/anthropic")
            provider = make_provider("cloud", settings, harness.http)
            assert isinstance(await provider.complete(harness.call()), Answer)
            return recorder

    sent = harness.run(record())
    scheme, credential, signed, signature = sent.headers[0]["authorization"].split()
    assert scheme == "AWS4-HMAC-SHA256"
    assert credential.startswith("Credential=AKIDEXAMPLE/")
    assert credential.endswith("/us-east-1/bedrock/aws4_request,")
    assert signed == "SignedHeaders=host;x-amz-date,"
    assert signature == f"Signature={signature_of(sent)}"


def test_where_no_token_is_given_nothing_is_sent(
    harness: Harness, log_in: Callable[[str], None]
) -> None:
    log_in("http://127.0.0.1:1/token")
    call = harness.call()

    def reply_of(kind: str) -> Answer | Refusal:
        settings = settings_of("vertex", kind, harness.simulator.url)
        provider: Provider = make_provider("cloud", settings, harness.http)
        return harness.run(provider.complete(call))  # type: ignore[no-any-return]

    for kind in ("gemini", "anthropic"):
        reply = reply_of(kind)
        assert isinstance(reply, Refusal)
        assert reply.kind is ErrorKind.TRANSIENT, reply
        assert "nothing was sent" in reply.message
    assert harness.rows(call) == []


def test_credentials_that_are_not_there_are_told_before_any_call(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for platform, kind, told in (
        ("vertex", "gemini", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("vertex", "anthropic", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("bedrock", "anthropic", "AWS_ACCESS_KEY_ID"),
        ("azure", "openai", "CLOUD_API_KEY"),
    ):
        settings = settings_of(platform, kind, harness.simulator.url)
        with pytest.raises(SettingsError, match=told):
            make_provider("cloud", settings, harness.http)


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ('kind = "gemini"\nplatform = "bedrock"', "bedrock has no models of the kind gemini"),
        ('kind = "openai"\nplatform = "azure"', "azure needs base_url"),
        ('kind = "gemini"\nplatform = "vertex"\nproject = "p"', "vertex needs project and region"),
        ('kind = "anthropic"\nplatform = "bedrock"', "bedrock needs region"),
        (
            f"{_WHOLE}sdk = 'google-generativeai'",
            "is not spoken by google-generativeai",
        ),
    ],
)
def test_half_a_platform_is_told(section: str, told: str) -> None:
    Path("promptmill.toml").write_text(f"[providers.cloud]\n{section}\n")
    with pytest.raises(SettingsError, match=told):
        load_settings()


def test_an_account_of_a_platform_has_a_name_of_its_own() -> None:
    vertex = settings_of("vertex", "gemini", "http://x", api_key=CANARY)
    assert vertex.key is None
    others = [
        settings_of("vertex", "gemini", "http://x", region="us"),
        settings_of("bedrock", "anthropic", "http://x"),
        settings_of("bedrock", "anthropic", "http://x", api_key=CANARY),
        settings_of("azure", "openai", "http://x"),
    ]
    names = {one.fingerprint for one in (vertex, *others)}
    assert len(names) == 5
    assert others[-1].fingerprint == ""
