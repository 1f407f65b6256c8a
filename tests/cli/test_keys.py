"""`promptmill keys`: who may use the gateway."""

import pytest

from promptmill.schema.tenant_options import options_of
from promptmill.schema.tenants import caller_of
from promptmill.schema.truncation import Truncate, Truncation
from tests.cli.promptmill import Here
from tests.schema.scene import Scene

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_a_key_is_shown_once_listed_by_its_end_and_revoked(promptmill: Here, scene: Scene) -> None:
    said = promptmill("keys", "add", "team", "--label", "nightly")
    key = said.out.strip()
    assert "key 1 of team" in said.err
    assert key not in said.err
    other = promptmill("keys", "add", "team", "--read-only", "--json").objects[0]
    assert (other["number"], other["tenant"]) == (2, "team")
    listed = promptmill("keys", "list", "--json").objects
    assert [(row["number"], row["scopes"], row["label"]) for row in listed] == [
        (1, "batch read", "nightly"),
        (2, "read", ""),
    ]
    assert listed[0]["ends_with"] == key[-4:]
    assert key not in promptmill("keys", "list").out

    assert promptmill("keys", "revoke", 1).code == 0
    assert promptmill("keys", "list", "--json").objects[0]["revoked"]
    again = promptmill("keys", "revoke", 1)
    assert (again.code, "no key 1 that is in use" in again.err) == (2, True)
    with scene.database.read() as connection:
        assert caller_of(connection, key) is None
        assert caller_of(connection, other["key"])


def test_a_tenants_name_is_one_that_can_be_shown(promptmill: Here, scene: Scene) -> None:
    assert promptmill("keys", "add", "a\nb").code == 2
    assert scene.count("tenants") == 0


def test_a_tenant_is_listed_with_what_it_may(promptmill: Here, scene: Scene) -> None:
    promptmill("keys", "add", "team")
    assert promptmill("tenants", "set", "team", "--budget", "5", "--rpm", "600").code == 0
    assert promptmill("tenants", "list", "--json").objects == [
        {
            "tenant": "team",
            "keys": 1,
            "batches": 0,
            "cost_usd": 0,
            "budget_usd": 5,
            "rpm": 600,
            "webhook": None,
            "mask_pii": None,
            "truncate": None,
            "max_input_tokens": None,
            "checks": None,
        }
    ]
    promptmill("tenants", "set", "team", "--budget", "none", "--rpm", "none")
    row = promptmill("tenants", "list", "--json").objects[0]
    assert (row["budget_usd"], row["rpm"]) == (None, None)
    for wrong in (["nobody", "--rpm", "5"], ["team"], ["team", "--rpm", "0"]):
        assert promptmill("tenants", "set", *wrong).code == 2


def test_what_becomes_of_a_tenants_prompts_is_set_shown_and_taken_away(
    promptmill: Here, scene: Scene
) -> None:
    promptmill("keys", "add", "team")
    words = {"mask_pii": "both", "truncate": "tail", "max_input_tokens": "8k", "checks": "error"}
    typed = [part for name, word in words.items() for part in (f"--{name.replace('_', '-')}", word)]
    assert promptmill("tenants", "set", "team", *typed).code == 0
    (row,) = promptmill("tenants", "list", "--json").objects
    assert {name: row[name] for name in words} == {**words, "max_input_tokens": 8000}
    shown = promptmill("tenants", "list").out
    assert all(word in shown for word in ("mask both", "truncate tail", "8,000", "checks error"))
    with scene.database.read() as connection:
        tenant = connection.exec_driver_sql("select id from tenants").scalar_one()
        assert options_of(connection, tenant).truncation == Truncation(Truncate.TAIL, 8000)
    nothing = [part for name in typed[::2] for part in (name, "none")]
    assert promptmill("tenants", "set", "team", *nothing).code == 0
    (row,) = promptmill("tenants", "list", "--json").objects
    assert {row[name] for name in words} == {None}
    assert promptmill("tenants", "set", "team", "--max-input-tokens", "0").code == 2
