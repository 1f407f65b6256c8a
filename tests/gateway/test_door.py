"""The door, by a list of what an attacker would try: no leak, no crash, always OpenAI's errors."""

import json
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from openai import AuthenticationError, NotFoundError, PermissionDeniedError
from structlog.testing import capture_logs

from promptmill.schema.tenants import Scope, keys_of_all, revoke_key
from tests.gateway.orders import line, order, upload
from tests.services.running_gateway import RunningGateway
from tests.services.waiting import wait_until

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SECRET = "nobody else may read this"
MODEL = "gpt-4o-mini"
TRICKS = (
    "/v1/files/../../promptmill.db/content",
    "/v1/files/..%2f..%2fpromptmill.db/content",
    "/v1/files/%2e%2e%2f%2e%2e%2fetc%2fpasswd/content",
    "/v1/files/%00/content",
    "/v1/files/" + "a" * 3000,
    "/v1/files/file-%27%20or%201=1--",
    "/v1/batches/%00%ff",
    "/v1/batches/1",
    "/v1/nothing",
    "//v1//files",
    "/v1/files?after=%00",
    "/v1/files?limit=-1",
    "/v1/files?limit=99999999999999999999999",
    "/v1/batches?after=%27&limit=x",
)
MALFORMED: tuple[tuple[str, bytes], ...] = (
    ("application/json", b""),
    ("application/json", b"{"),
    ("application/json", b"[" * 4000),
    ("application/json", b'"\\ud800"'),
    ("application/json", b"\xff\xfe"),
    ("application/json", b'{"input_file_id": "a\\u0000b", "endpoint": "/v1/embeddings"}'),
    ("application/json", b'{"metadata": {"\\ud800": "\\ud800"}}'),
    ("text/plain", b'{"input_file_id": "x"}'),
    ("multipart/x", b" " * 5001),
    ("multipart/form-data", b"--x"),
    ("multipart/form-data; boundary=x", b"nothing"),
    (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n',
    ),
    ("multipart/form-data; boundary=" + "x" * 5000, b"--x--"),
    ("application/json", b" " * 5001),
)


TEXTS = st.text(max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
BODIES: tuple[dict[str, object], ...] = (
    {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5},
    {"model": MODEL, "input": "Hello"},
    {
        "input_file_id": "file-1",
        "endpoint": "/v1/embeddings",
        "completion_window": "24h",
        "metadata": {"a": "b"},
        "output_expires_after": {"anchor": "created_at", "seconds": 3600},
    },
)


def test_one_tenant_sees_nothing_of_another(gateway: RunningGateway) -> None:
    owner, stranger = gateway.client(), gateway.client(gateway.key("others"))
    file_id = upload(owner, line("a", MODEL, SECRET))
    batch = order(owner, line("a", MODEL, SECRET))
    for reach in (stranger.files.retrieve, stranger.files.content, stranger.files.delete):
        with pytest.raises(NotFoundError):
            reach(file_id)
    for act in (stranger.batches.retrieve, stranger.batches.cancel):
        with pytest.raises(NotFoundError):
            act(batch.id)
    with pytest.raises(NotFoundError):
        stranger.batches.create(
            input_file_id=file_id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
        )
    listed = stranger.files.list(after=file_id), stranger.batches.list(after=batch.id)
    assert [list(page) for page in listed] == [[], []]
    assert owner.files.retrieve(file_id).id == file_id
    assert owner.batches.retrieve(batch.id).cancelling_at is None


def test_a_key_opens_until_it_is_revoked_and_only_what_it_is_for(gateway: RunningGateway) -> None:
    reader = gateway.client(gateway.key(scopes=[Scope.READ]))
    assert list(reader.files.list()) == []
    with pytest.raises(PermissionDeniedError, match="may only look"):
        upload(reader, line("a", MODEL))
    key = gateway.key()
    client = gateway.client(key)
    file_id = upload(client, line("a", MODEL))
    with gateway.database.write() as connection:
        number = max(row.id for row in keys_of_all(connection))
        assert revoke_key(connection, number)
    for wrong in (key, key[:-1], key + "a", "pm-", "x", "é" * 43, "' or 1=1 --"):
        answer = gateway.http().get(
            f"/v1/files/{file_id}", headers={b"Authorization": f"Bearer {wrong}".encode()}
        )
        assert answer.status_code == 401
        assert file_id not in answer.text
    with pytest.raises(AuthenticationError, match="not known here, or was revoked"):
        client.files.retrieve(file_id)
    with gateway.database.read() as connection:
        held = connection.exec_driver_sql("select * from tenant_keys").fetchall()
    assert key not in str(held)


def test_tricks_with_paths_and_bodies_come_to_errors_of_openais_shape(
    gateway: RunningGateway,
) -> None:
    client = gateway.client()
    file_id = upload(client, line("a", MODEL, SECRET))
    http, stranger = gateway.http(gateway.key()), gateway.http(gateway.key("others"))
    for path in TRICKS:
        for who in (http, stranger):
            answer = who.get(path)
            assert SECRET not in answer.text
            if answer.status_code != 200:
                assert_error(answer.status_code, answer.json(), path)
    for kind, body in MALFORMED:
        for path in ("/v1/files", "/v1/batches", f"/v1/batches/{file_id}/cancel"):
            answer = http.post(path, content=body, headers={"Content-Type": kind})
            assert_error(answer.status_code, answer.json(), f"{path} {kind} {body[:40]!r}")
    for kind in ("application/json", "multipart/form-data; boundary=x"):
        answer = http.post("/v1/batches", content=b" " * 5001, headers={"Content-Type": kind})
        assert answer.status_code == 413, kind
    for method in ("PUT", "PATCH", "TRACE"):
        answer = http.request(method, "/v1/files")
        assert_error(answer.status_code, answer.json(), method)
    assert [one.id for one in client.files.list()] == [file_id]
    folder = gateway.gateway.folder.path("")
    assert {path.name for path in folder.iterdir()} == {file_id}


def test_a_client_that_is_too_slow_or_sends_no_http_ends_alone(gateway: RunningGateway) -> None:
    client = gateway.client()
    begun = f"POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.key()}\r\n"
    slow = f"{begun}Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 900\r\n\r\n--x"
    assert b"408" in said(gateway, slow.encode())
    assert b"400" in said(gateway, b"\x16\x03\x01 no http\r\n\r\n")
    assert said(gateway, b"GET / HTTP/1.1\r\nHo") == b""
    assert said(gateway, b"") == b""
    endless = b"GET /healthz HTTP/1.1\r\n" + b"X-Many: %s\r\n" % (b"x" * 60) * 2000
    assert said(gateway, endless) == b""
    assert said(gateway, slow.encode(), leaves=True) == b""
    assert list(client.files.list()) == []


def test_each_request_has_an_id_and_a_line_without_its_words(gateway: RunningGateway) -> None:
    key = gateway.key()
    with capture_logs() as lines:
        upload(gateway.client(key), line("a", MODEL, SECRET))
        answer = gateway.http(key).get(f"/v1/files?after={SECRET}")
        assert gateway.http().get("/healthz").json() == {"status": "ok"}
        assert gateway.http().get("/readyz").json() == {"status": "ok"}
        # A line is written when its answer has left already.
        told = wait_until(
            lambda: requests_in(lines) if len(requests_in(lines)) == 4 else [],
            "a line of each",
        )
    assert [(one["method"], one["path"], one["status"]) for one in told] == [
        ("POST", "/v1/files", 200),
        ("GET", "/v1/files", 200),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
    ]
    assert told[1]["request"] == answer.headers["x-request-id"]
    assert told[0]["bytes_in"] > len(SECRET)
    assert told[0]["tenant"]
    assert SECRET not in str(lines)
    assert key not in str(lines)


def test_no_request_that_is_described_ends_in_a_fault_of_the_server(
    gateway: RunningGateway,
) -> None:
    http = gateway.http(gateway.key())
    paths = http.get("/openapi.json").json()["paths"]
    operations = [(path, method) for path, methods in paths.items() for method in methods]
    assert len(operations) >= 14

    @hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def ask(data: st.DataObject) -> None:
        path, method = data.draw(st.sampled_from(operations))
        filled = re.sub(r"{.*?}", lambda _: quote(data.draw(TEXTS), safe=""), path)
        query = data.draw(st.dictionaries(st.sampled_from(["limit", "after", "order"]), TEXTS))
        body = data.draw(st.sampled_from(BODIES).map(dict) | st.dictionaries(TEXTS, JSON))
        name = data.draw(st.sampled_from([*body, "model"]) if body else TEXTS)
        written = json.dumps({**body, name: data.draw(JSON)})
        answer = http.request(
            method,
            filled,
            params=query,
            content=written,
            headers={"Content-Type": "application/json"},
        )
        # A live call may be one that could be made, and nobody is there to make it.
        assert answer.status_code < 500 or answer.json()["error"]["code"] == "timeout", written
        assert answer.headers["x-request-id"]

    ask()


def assert_error(status: int, told: Mapping[str, Mapping[str, object]], what: str) -> None:
    """Hold that this is OpenAI's shape of an error, and that the client is at fault."""
    assert 400 <= status < 500, what
    assert told.keys() == {"error"}, what
    assert told["error"].keys() == {"message", "type", "param", "code"}, what
    assert "Traceback" not in json.dumps(told), what


def said(gateway: RunningGateway, data: bytes, *, leaves: bool = False) -> bytes:
    """Send raw bytes; return what is said to them, or leave at once."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    with (
        socket.create_connection((host, int(port)), timeout=20) as wire,
        suppress(ConnectionError),  # it was closed with something unread
    ):
        wire.sendall(data)
        return b"" if leaves else wire.recv(65_536)
    return b""


def requests_in(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Find the lines of requests."""
    return [one for one in lines if one["event"] == "request"]
