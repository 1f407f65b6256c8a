"""`promptmill limits set` and `unset`: limits are changed live."""

import pytest

from promptmill.schema.database import Database
from promptmill.schema.live_limits import read_limits
from promptmill.schema.settings import Settings
from tests.cli.promptmill import Here

one_engine = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""for what does not come from SQL"""


def live(database: Database) -> dict[tuple[str, str], float]:
    with database.read() as connection:
        return {(each.model, each.dimension): each.ceiling for each in read_limits(connection)}


def test_a_limit_is_set_live_and_taken_back(
    settings: Settings, database: Database, promptmill: Here
) -> None:
    beat = "workers take it within their next beat, 2 s\n"
    said = promptmill("limits", "set", "openai/gpt-4o", "rpm=500", "tpm=1.5M")
    assert said.err == f"openai/gpt-4o: rpm 60k -> 500\nopenai/gpt-4o: tpm 60M -> 1.5M\n{beat}"
    assert live(database) == {("gpt-4o", "rpm"): 500, ("gpt-4o", "tpm"): 1.5e6}
    assert "500 live" in promptmill("limits").out
    assert promptmill("limits", "unset", "openai/gpt-4o", "rpd").err.endswith("not set live\n")
    assert promptmill("limits", "unset", "openai/gpt-4o", "tpm", "--json").objects == [
        {
            "provider": "openai",
            "model": "gpt-4o",
            "changes": [{"dimension": "tpm", "old": 1.5e6, "new": 60e6}],
        }
    ]
    assert promptmill("limits", "unset", "openai/gpt-4o").err.startswith(
        "openai/gpt-4o: rpm 500 -> 60k\n"
    )
    assert live(database) == {}


def test_a_providers_limit_names_the_models_that_keep_their_own(
    settings: Settings, database: Database, promptmill: Here
) -> None:
    said = promptmill("limits", "set", "openai", "rpm=1,000", "concurrency=30")
    assert "openai: rpm 60k -> 1k\nopenai: concurrency 200 -> 30\n" in said.err
    assert "not for openai/o3*, which has its own rpm of 10k" in said.err
    assert "30 calls" in promptmill("limits", "openai").out


def test_the_accounts_limit_is_set_apart_from_that_of_each_model(
    settings: Settings, database: Database, promptmill: Here
) -> None:
    said = promptmill("limits", "set", "openai", "--account", "tpm=50M", "rpm=9k")
    assert said.err.startswith(
        "openai, all models together: tpm 100M -> 50M\n"
        "openai, all models together: rpm no limit -> 9k\n"
    )
    assert live(database) == {("*", "tpm"): 50e6, ("*", "rpm"): 9000}


def test_a_model_of_a_family_is_not_set_alone(
    settings: Settings, database: Database, promptmill: Here
) -> None:
    said = promptmill("limits", "set", "openai/o3-mini", "rpm=5")
    assert said.code == 2
    assert "family 'o3*': change those, as 'openai/o3*'" in said.err
    assert promptmill("limits", "set", "openai/o3*", "rpm=5").code == 0
    assert live(database) == {("o3*", "rpm"): 5}


@one_engine
@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (("set", "opnai", "rpm=5"), "no provider 'opnai': did you mean 'openai'?"),
        (("show", "nobody"), "no provider 'nobody': the settings name anthropic, gemini, openai"),
        (("unset", "nobody"), "no provider 'nobody'"),
        (("set", "openai", "rmp=5"), "no limit 'rmp': did you mean rpm?"),
        (("unset", "openai", "colour"), "it is one of rpm, tpm, itpm, otpm, rpd, tpd, concurrency"),
        (("set", "openai", "rpm=many"), "rpm=many is no number: write it as 500, 200k"),
        (("set", "openai", "rpm=1.2.3"), "rpm=1.2.3 is no number"),
        (("set", "openai", "rpm=-5"), "rpm=-5 is no number"),
        (("set", "openai", "rpm"), "'rpm' is no limit: write it as rpm=500"),
        (("set", "openai", "rpm=5", "rpm=6"), "rpm is given twice"),
        (("set", "openai", "rpm=5", "tpm=0"), "a limit is a number above 0"),
        (("set", "openai", "concurrency=2.5"), "a whole number of calls"),
        (("set", "openai/gpt-4o", "concurrency=5"), "set it without a model"),
        (("set", "openai", "--account", "concurrency=5"), "set it without a model"),
        (("set", "openai/gpt-4o", "--account", "rpm=5"), "write openai without 'gpt-4o'"),
        (("set", "openai/", "rpm=5"), "names no model"),
        (("set", "openai/*", "rpm=5"), "or openai --account for all models together"),
    ],
)
def test_what_cannot_be_set_is_refused_and_nothing_is_changed(
    typed: tuple[str, ...], told: str, settings: Settings, database: Database, promptmill: Here
) -> None:
    said = promptmill("limits", *typed)
    assert said.code == 2
    assert told in said.err
    assert live(database) == {}


def test_the_help_tells_how_a_family_is_typed(promptmill: Here) -> None:
    said = promptmill("limits", "set", "--help")
    assert "'openai/gpt-4o*'" in said.out
    assert "unset" in promptmill("limits", "--help").out
