"""Where webhooks may go, and by which secrets they are signed."""

import pytest

from promptmill.producer.submitting.webhook import parse_webhook
from promptmill.schema.addresses import is_public
from promptmill.schema.errors import SettingsError, UsageError
from promptmill.schema.settings import load_settings
from promptmill.schema.webhook_settings import WebhookSettings, new_secret, signing_keys

STRICT, LOOSE = WebhookSettings(), WebhookSettings(allow_private=True)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("::ffff:93.184.215.14", True),
        ("64:ff9b::5db8:d70e", True),  # the same, behind NAT64
        ("127.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104  not listened on
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.0.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),  # where clouds tell of themselves
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_an_address_is_of_the_internet_or_it_is_not(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://localhost/hook",
        "https://api.localhost./hook",
        "https://127.0.0.1:8443/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://user:word@example.com/",
        "https://example.com:port/",
        "https://exa mple.com/",
        "https:///hook",
        "ftp://example.com/",
        "example.com",
        "",
    ],
)
def test_what_is_never_called_is_refused_when_it_is_typed(url: str) -> None:
    with pytest.raises(UsageError, match="--webhook: "):
        parse_webhook(url, STRICT)


def test_a_setting_allows_this_machine_and_http() -> None:
    for url in ("https://example.com/hook?of=me", "none"):
        assert parse_webhook(url, STRICT) == url.replace("none", "")
    assert parse_webhook("http://localhost:8000/hook", LOOSE) == "http://localhost:8000/hook"
    with pytest.raises(UsageError, match="has a user in it"):
        parse_webhook("http://user@localhost/", LOOSE)


def test_settings_that_nobody_could_work_with_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPTMILL_WEBHOOKS__URL", "https://10.0.0.1/hook")
    with pytest.raises(SettingsError, match=r"webhooks: 10\.0\.0\.1 is this machine or"):
        load_settings()
    monkeypatch.delenv("PROMPTMILL_WEBHOOKS__URL")
    for wrong in ("short", "whsec_c2hvcnQ=", "whsec_!", f"{new_secret()} other"):
        monkeypatch.setenv("PROMPTMILL_WEBHOOKS__SECRET", wrong)
        with pytest.raises(SettingsError, match=r"webhooks\.secret: a secret is whsec_") as refused:
            load_settings()
        assert wrong not in str(refused.value).replace("whsec_ and", "")
    monkeypatch.setenv("PROMPTMILL_WEBHOOKS__SECRET", f"{new_secret()} {new_secret()}")
    secret = load_settings().webhooks.secret
    assert secret is not None
    assert [len(key) for key in signing_keys(secret.reveal())] == [32, 32]
