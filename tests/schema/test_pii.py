"""Personal data: what is found by shape and checksum, what is not, and how it comes back."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from benchmarks.pii_cases.labelled import HARD, labelled
from promptmill.schema.errors import SettingsError
from promptmill.schema.moves.endings import StoredResult, finish, retry
from promptmill.schema.moves.pruning import Pruned, prune_chunk
from promptmill.schema.pii.finders import finder_of
from promptmill.schema.pii.masking import Masker, masked, unmask
from promptmill.schema.pii.shapes import Kind, find
from promptmill.schema.pii.values import values_of
from promptmill.schema.reading import due_jobs
from promptmill.schema.sections import PiiSettings
from promptmill.schema.truncation import Cut, refused_cut_of
from tests.schema.scene import ANSWERED, REFUSED, Scene, new_jobs

VALUES = {
    "ada.l+news@mail.example.co.uk": Kind.EMAIL,
    "4111 1111 1111 1111": Kind.CARD,
    "DE89 3704 0044 0532 0130 00": Kind.IBAN,
    "GB82WEST12345698765432": Kind.IBAN,
    "078-05-1120": Kind.SSN,
    "+49 30 901820": Kind.PHONE,
    "(212) 555-0187": Kind.PHONE,
    "8.8.8.8": Kind.IP,
    "2001:4860:4860::8888": Kind.IP,
    "sk-ant-api03-abcdefghijklmnop": Kind.KEY,
}
NEAR = [
    "4111 1111 1111 1112",  # Luhn
    "DE89 3704 0044 0532 0130 01",  # by 97
    "666-12-3456",
    "10.0.0.1, 192.168.1.7 and 127.0.0.1",
    "version 1.2.3.4.5 of 2026-11-28 12:30:45",
    "978-3-16-148410-0",
    "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
    "user@localhost",
    "1,234,567,890.00",
]


def test_what_its_checksum_tells_is_found_and_what_is_near_is_not() -> None:
    for value, kind in VALUES.items():
        text = f"Please use {value}, thank you."
        (found,) = find(text)
        assert (text[found.start : found.end], found.kind) == (value, kind)
    for near in NEAR:
        assert find(f"It says {near} there.") == [], near


def test_of_the_labelled_set_only_what_is_hard_is_missed() -> None:
    for text, expected in labelled(seed=7, of_each=20):
        assert [(one.kind, text[one.start : one.end]) for one in find(text)] == expected, text
    assert not any(find(text) for text, _ in HARD), "they are said to be missed: say so no more"


@given(st.lists(st.one_of(st.sampled_from(list(VALUES)), st.text(max_size=30)), max_size=8))
def test_what_was_masked_is_put_back(parts: list[str]) -> None:
    text, masker = " | ".join(parts), Masker()
    without = masker.mask(text)
    assert unmask(without, masker.values) == text
    assert not [one for one in find(without) if "<" not in without[one.start : one.end]]


def test_in_a_request_the_same_value_has_the_same_word_and_bytes_stay() -> None:
    masker = Masker()
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,4111111111111111"}}
    body = {
        "messages": [
            {"role": "user", "content": "ada@example.com wrote to bob@example.com"},
            {"role": "user", "content": [{"type": "text", "text": "ada@example.com"}, image]},
        ],
        "seed": 4111111111111111,
    }
    assert masker.mask_in(body) == {
        "messages": [
            {"role": "user", "content": "<EMAIL_1> wrote to <EMAIL_2>"},
            {"role": "user", "content": [{"type": "text", "text": "<EMAIL_1>"}, image]},
        ],
        "seed": 4111111111111111,
    }
    assert masker.values == {"<EMAIL_1>": "ada@example.com", "<EMAIL_2>": "bob@example.com"}
    assert Masker().mask("<EMAIL_1> is not ada@example.com") == "<EMAIL_1> is not <EMAIL_2>"
    assert masked("to ada@example.com") == "to <EMAIL>"


def test_json_within_a_text_is_masked_and_stays_json() -> None:
    told = {"to": "Hi\nada@example.com\n+49 170 1234567", "card": "Pay\t4111 1111 1111 1111"}
    shown = json.loads(Masker().mask(json.dumps(told)))
    assert shown == {"to": "Hi\n<EMAIL_1>\n<PHONE_1>", "card": "Pay\t<CARD_1>"}


def test_fields_of_a_tools_arguments_are_masked_whatever_their_names() -> None:
    call = {"type": "tool_use", "id": "ada@example.com", "input": {"id": "ada@example.com"}}
    assert Masker().mask_in(call) == {**call, "input": {"id": "<EMAIL_1>"}}


def test_words_and_cuts_are_kept_with_their_job_until_it_is_pruned(scene: Scene) -> None:
    batch = scene.load(
        jobs=[replace(new_jobs(1)[0], masked={"<EMAIL_1>": "ada@example.com"})],
        mask_pii="both",
        truncate="tail",
        max_input_tokens=9,
    )
    (hint,) = scene.queue(batch)
    with scene.database.read() as connection:
        (job,) = due_jobs(connection, [hint])
    assert (bool(job.mask_answer), job.truncate, job.max_input_tokens) == (True, "tail", 9)
    ((job_id, fence),) = scene.claim(hint).items()
    told = Cut("tail", 3, 1, 9, refused=1, told_tokens=8, told_most=7)
    scene.close(retry(job_id, fence, dataclasses.replace(REFUSED, cut=told), 0))
    scene.clock.advance(1)
    ((job_id, fence),) = scene.claim(*scene.queue_due()).items()
    result = StoredResult("to <IP_A1>", "stop", masked=(("<IP_A1>", "8.8.8.8"),))
    scene.close(finish(job_id, fence, ANSWERED, result))
    with scene.database.read() as connection:
        assert refused_cut_of(connection, job_id) == told
        words = values_of(connection, [job_id])
    assert words == {job_id: {"<EMAIL_1>": "ada@example.com", "<IP_A1>": "8.8.8.8"}}
    with scene.database.write() as connection:
        prune_chunk(connection, batch, Pruned.ALL, after=0, most=10)
    assert (scene.count("pii_map"), scene.count("truncations")) == (0, 0)


def test_a_finder_that_is_not_installed_is_said_before_anything_is_masked() -> None:
    with pytest.raises(SettingsError, match=r"presidio, which is not installed: `.*presidio"):
        finder_of(PiiSettings(masker="presidio"))
