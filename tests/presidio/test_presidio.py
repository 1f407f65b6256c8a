"""Presidio beside our own shapes, by a model that the test makes. It is no part of the environment.

See CONTRIBUTING.md for how to run this.
"""

import json

import pytest

from promptmill.producer.reading.prompt import Prompt
from promptmill.producer.submitting.chunks import masked
from promptmill.schema.errors import SettingsError
from promptmill.schema.pii.finders import finder_of
from promptmill.schema.pii.masking import Masker, unmask
from promptmill.schema.sections import BLANK, PiiSettings

pytest.importorskip("presidio_analyzer", reason="it is in an environment of its own")
pytestmark = pytest.mark.filterwarnings("default")  # of what spaCy is made of

NAMES = {"Ada Lovelace": "PERSON", "Charles": "PERSON", "London": "GPE", "yesterday": "DATE"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A pipeline that knows some names, on disk as any model is."""
    import spacy

    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(
        [{"label": label, "pattern": name} for name, label in NAMES.items()]
    )
    path = tmp_path_factory.mktemp("model") / "names"
    nlp.to_disk(path)
    return str(path)


def settings(model: str, **more: object) -> PiiSettings:
    return PiiSettings.model_validate({"masker": "presidio", "model": model, **more})


def test_names_and_places_are_masked_beside_what_has_a_shape_and_put_back(model: str) -> None:
    text = "So yesterday Ada Lovelace (ada@example.com) left London; Ada Lovelace is back."
    masker = Masker(finder=finder_of(settings(model)))
    words = masker.mask(text)
    assert words == "So yesterday <PERSON_1> (<EMAIL_1>) left <LOCATION_1>; <PERSON_1> is back."
    assert unmask(words, masker.values) == text


def test_a_prompt_is_masked_by_what_the_settings_name(model: str) -> None:
    body = {"messages": [{"role": "user", "content": "Who is Charles?"}]}
    prompt = Prompt(1, "a", json.dumps(body).encode(), None)
    sent, values = masked(prompt, settings(model))
    assert (sent.request["messages"][0]["content"], values) == (
        "Who is <PERSON_1>?",
        {"<PERSON_1>": "Charles"},
    )
    assert masked(prompt, PiiSettings())[1] is None


def test_only_what_is_asked_for_is_looked_for(model: str) -> None:
    finder = finder_of(settings(model, entities=["DATE_TIME"]))
    assert [one.kind for one in finder("yesterday Charles was in London")] == ["DATE_TIME"]


def test_without_a_model_what_has_a_pattern_is_found_and_no_name() -> None:
    finder = finder_of(settings(BLANK))
    (found,) = finder("send it to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa now")
    assert found.kind == "CRYPTO"
    assert finder("Ada Lovelace left London.") == []


def test_json_in_a_text_stays_json(model: str) -> None:
    text = json.dumps({"name": "Ada Lovelace", "of": "Charles\n"})
    masker = Masker(finder=finder_of(settings(model)))
    assert json.loads(masker.mask(text))["name"] == "<PERSON_1>"
    assert unmask(masker.mask(text), masker.values) == text


def test_a_long_text_is_looked_at_in_pieces(model: str) -> None:
    text = "word " * 30_000 + "Ada Lovelace"
    (found,) = finder_of(settings(model))(text)
    assert text[found.start : found.end] == "Ada Lovelace"


def test_a_model_that_is_not_installed_is_said_and_not_fetched() -> None:
    with pytest.raises(SettingsError, match="spacy download en_core_web_none"):
        finder_of(settings("en_core_web_none"))
