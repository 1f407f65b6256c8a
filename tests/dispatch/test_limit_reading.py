"""The limiter's state in Redis is found by its keys, and by no others."""

from contextlib import closing

import pytest
from msgspec import structs

from promptmill.producer.limits.learned import advise, learned_model
from promptmill.producer.limits.memory import Account, LimitMemory
from promptmill.producer.limits.reading import LimitReader
from promptmill.schema.errors import ServiceError
from promptmill.schema.limit_state import SIZE, SPACE, limit_keys, pack_learned
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits.charges import Charges
from tests.services.valkey import Valkey

STATE = bytes(8 * SIZE)


def read(valkey: Valkey, prefix: str) -> LimitMemory:
    """Read by redis-py and for a glance, which tell the same."""
    found = []
    for for_a_glance in (False, True):
        reader = LimitReader(valkey.url, prefix=prefix, for_a_glance=for_a_glance)
        with closing(reader):
            found.append(reader.read())
    by_redis_py, glanced = found
    told = structs.replace(by_redis_py, server_us=glanced.server_us)
    assert told == glanced
    return glanced


@pytest.mark.parametrize("provider", ["openai", "my:mill", "{mill}", "a:{b}:c"])
@pytest.mark.parametrize(
    "model", ["gpt-4o", "ft:gpt-4o:acme:{x}:1", "org/llama-3", "gpt-4o*", "a\nb"]
)
def test_names_of_any_shape_are_read_back(provider: str, model: str, valkey: Valkey) -> None:
    keys = limit_keys("t:", provider=provider, account="1f0c22aa", shared_by=model, model=model)
    valkey.client.set(keys.model, STATE)
    valkey.client.set(keys.account, STATE)
    valkey.client.set(keys.learned, pack_learned([1.0] * 6))
    valkey.client.zadd(keys.leases, {"a": 9e18, "dead": 1})
    found, account = read(valkey, "t:"), Account(provider, "1f0c22aa")
    assert set(found.scopes) == set(found.learned) == {(account, model)}
    assert set(found.accounts) == {account}
    assert found.in_flight == {account: 1}


def test_another_prefix_is_another_mill(valkey: Valkey) -> None:
    for prefix in ("a*:", "ab:", "[a]:"):
        keys = limit_keys(prefix, provider="p", account="k", shared_by=prefix, model="m")
        valkey.client.set(keys.model, STATE)
    valkey.client.set(f"a*:{SPACE}:{{p:k}}:something:else", "not ours to read")
    for prefix in ("a*:", "ab:", "[a]:"):
        assert [name for _, name in read(valkey, prefix).scopes] == [prefix]


def test_a_release_that_lays_its_numbers_otherwise_is_another_mill(valkey: Valkey) -> None:
    """Or each would take the other's numbers for its own."""
    keys = limit_keys("t:", provider="p", account="k", shared_by="m", model="m")
    assert SPACE in keys.model
    valkey.client.set(keys.model.replace(SPACE, "limits-00000000"), b"of another length")
    assert read(valkey, "t:").scopes == {}


def test_an_empty_redis_is_no_error(valkey: Valkey) -> None:
    assert read(valkey, "t:").accounts == {}


@pytest.mark.parametrize("for_a_glance", [False, True])
def test_a_redis_that_is_away_is_named_without_its_password(for_a_glance: bool) -> None:
    url = "redis://:pw@127.0.0.1:1/0"
    with (
        closing(LimitReader(url, prefix="t:", for_a_glance=for_a_glance)) as reader,
        pytest.raises(ServiceError, match=r"^redis://127\.0\.0\.1:1/0 does not answer: Conn"),
    ):
        reader.read()


def test_a_state_of_another_release_is_left_out(valkey: Valkey) -> None:
    keys = limit_keys("t:", provider="p", account="k", shared_by="m", model="m")
    for key in (keys.model, keys.account, keys.learned):
        valkey.client.set(key, b"{}")
    found = read(valkey, "t:")
    assert (found.scopes, found.accounts, found.learned) == ({}, {}, {})


def test_nothing_learned_is_nothing_to_tell() -> None:
    assert learned_model([0.0] * 6) is None


def test_what_was_learned_is_told_as_means() -> None:
    learned = learned_model([40.0, 10_000.0, 12_000.0, 4000.0, 160_000.0, 4000.0])
    assert learned is not None
    assert (learned.input_ratio, learned.input_tokens, learned.answer_tokens) == (1.2, 300, 100)
    assert (learned.max_tokens, learned.allowed_for_used, learned.calls_lost) == (4000, 40, 10)
    assert "max_tokens of 4,000 is charged, though an answer takes 100" in (advise(learned) or "")


@pytest.mark.parametrize(
    "sums",
    [
        (19.0, 1000.0, 1000.0, 1900.0, 190_000.0, 1900.0),  # too few calls
        (40.0, 1000.0, 1000.0, 4000.0, 0.0, 0.0),  # no maximum is named
        (40.0, 1000.0, 1000.0, 4000.0, 28_000.0, 4000.0),  # not far above
        (40.0, 4e6, 4e6, 4000.0, 160_000.0, 4000.0),  # the input is what costs
    ],
)
def test_nothing_is_advised_where_it_would_gain_nothing(sums: tuple[float, ...]) -> None:
    learned = learned_model(sums)
    assert learned is not None
    assert advise(learned) is None


def test_max_tokens_are_charged_by_the_kind_that_the_advice_is_for() -> None:
    charged = {kind for kind in ProviderKind if Charges(kind).by_max_tokens}
    assert charged == {ProviderKind.OPENAI}
