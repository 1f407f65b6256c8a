"""Local files in prompts: put into them, below the input's folder, and nowhere else."""

import base64
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from promptmill.producer.reading import Checked, Prompt, ReadOptions, check_input, read_prompts
from promptmill.producer.reading.source import Input
from promptmill.schema.errors import InputError

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
KINDS = {
    "a.png": (PNG, "image_url", "image/png"),
    "a.jpg": (b"\xff\xd8\xff\xe0 photo", "image_url", "image/jpeg"),
    "a.gif": (b"GIF89a....", "image_url", "image/gif"),
    "a.webp": (b"RIFF\0\0\0\0WEBPVP8 ", "image_url", "image/webp"),
    "a.heic": (b"\0\0\0\x18ftypheic....", "image_url", "image/heic"),
    "a.pdf": (b"%PDF-1.7 ....", "file", "application/pdf"),
    "a.wav": (b"RIFF\0\0\0\0WAVEfmt ", "input_audio", "audio/wav"),
    "a.mp3": (b"ID3\x04....", "input_audio", "audio/mp3"),
    "b.mp3": (b"\xff\xfb\x90....", "input_audio", "audio/mp3"),
    "a.mp4": (b"\0\0\0\x18ftypisom....", "video_url", "video/mp4"),
    "a.webm": (b"\x1aE\xdf\xa3....", "video_url", "video/webm"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of an input, with a file of each kind below it."""
    (tmp_path / "in" / "media").mkdir(parents=True)
    for name, (data, _, _) in KINDS.items():
        (tmp_path / "in" / "media" / name).write_bytes(data)
    return tmp_path / "in"


def write(folder: Path, *rows: Any) -> Input:
    path = folder / "prompts.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return Input(path, name=path.name)


def ask(part: dict[str, Any]) -> dict[str, Any]:
    content = [{"type": "text", "text": "What is it?"}, part]
    return {"messages": [{"role": "user", "content": content}]}


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def only(source: Input, options: ReadOptions | None = None) -> Prompt:
    (prompt,) = read_prompts(source, options or ReadOptions())
    return prompt


def part_of(prompt: Prompt) -> dict[str, Any]:
    part: dict[str, Any] = prompt.request["messages"][0]["content"][1]
    return part


@pytest.mark.parametrize("name", KINDS)
def test_a_file_becomes_the_part_of_its_kind(folder: Path, name: str) -> None:
    data, kind, media_type = KINDS[name]
    options = ReadOptions(template="What is it?", file_columns=("file",))
    prompt = only(write(folder, {"file": f"media/{name}"}), options)
    assert prompt.has_files
    encoded = base64.b64encode(data).decode()
    expected: dict[str, Any] = {"url": f"data:{media_type};base64,{encoded}"}
    if kind == "input_audio":
        expected = {"data": encoded, "format": media_type.removeprefix("audio/")}
    elif kind == "file":
        expected = {"filename": name, "file_data": f"data:{media_type};base64,{encoded}"}
    assert part_of(prompt) == {"type": kind, kind: expected}


@pytest.mark.parametrize("path", ["file:media/a.png", "file://media/a.png", "file:./media/a.png"])
def test_a_part_names_a_file_in_the_place_of_an_address(folder: Path, path: str) -> None:
    part = {"type": "image_url", "image_url": {"url": path, "detail": "high"}}
    for row in (ask(part), {"custom_id": "1", "body": ask(part)}):
        found = part_of(only(write(folder, row)))["image_url"]
        assert found["detail"] == "high"
        assert found["url"] == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


def test_addresses_and_bytes_stay_what_they_are(folder: Path) -> None:
    for url in ("https://example.org/a.png", "data:image/png;base64,AAAA"):
        prompt = only(write(folder, ask(image(url))))
        assert (part_of(prompt), prompt.has_files) == (image(url), False)


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("https://example.org/a.png", image("https://example.org/a.png")),
        ("https://example.org/a", image("https://example.org/a")),
        (
            "https://example.org/a.pdf?x",
            {"type": "file", "file": {"file_url": "https://example.org/a.pdf?x"}},
        ),
        (
            "https://example.org/a.mp4",
            {"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}},
        ),
    ],
)
def test_a_column_may_hold_an_address(folder: Path, value: str, part: dict[str, Any]) -> None:
    options = ReadOptions(template="What is it?", file_columns=("file",))
    assert part_of(only(write(folder, {"file": value}), options)) == part


def test_a_column_may_hold_several_and_there_may_be_several(folder: Path) -> None:
    options = ReadOptions(template="Alike?", file_columns=("one", "more"))
    row = {"one": "media/a.png", "more": ["media/a.jpg", "media/a.pdf"]}
    content = only(write(folder, row), options).request["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "image_url", "file"]


@pytest.fixture
def outside(folder: Path) -> Path:
    """A file beside the folder, and ways to it."""
    secret = folder.parent / "secret.png"
    secret.write_bytes(PNG)
    (folder / "link.png").symlink_to(secret)
    (folder / "up").symlink_to(folder.parent)
    os.mkfifo(folder / "pipe.png")
    (folder / "empty.png").touch()
    (folder / "notes.png").write_text("no image")
    return secret


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../secret.png", "outside of the folder"),
        ("media/../../secret.png", "outside of the folder"),
        ("link.png", "outside of the folder"),
        ("up/secret.png", "outside of the folder"),
        ("/etc/passwd", "outside of the folder"),
        ("media", "is no file"),
        ("pipe.png", "is no file"),
        ("empty.png", "is empty"),
        ("notes.png", "no kind that a provider takes"),
        ("missing.png", "cannot be found"),
        ("a\0b", "NUL"),
        ("a" * 300, "cannot be found"),
    ],
)
def test_nothing_else_is_opened(folder: Path, outside: Path, name: str, why: str) -> None:
    assert outside.exists()
    with pytest.raises(InputError, match=why):
        check_input(write(folder, ask(image(f"file:{name}"))), ReadOptions())


def test_a_file_is_said_as_the_part_of_its_kind(folder: Path) -> None:
    with pytest.raises(InputError, match="is application/pdf, which is no image_url"):
        only(write(folder, ask(image("file:media/a.pdf"))))


def test_files_of_a_prompt_have_a_limit_together(folder: Path) -> None:
    options = ReadOptions(template="?", file_columns=("a", "b"), max_file_bytes=len(PNG) + 5)
    assert only(write(folder, {"a": "media/a.png", "b": "https://a.b/c"}), options).has_files
    with pytest.raises(InputError, match="file_bytes"):
        only(write(folder, {"a": "media/a.png", "b": "media/a.png"}), options)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"text": "?"}, "'file' of --file-column is not there"),
        ({"file": ""}, "file names no file"),
        ({"file": None}, "file names no file"),
        ({"file": "https://example.org/a.mp3"}, "sounds are sent as bytes"),
    ],
)
def test_a_column_without_a_file_is_refused(folder: Path, row: dict[str, Any], why: str) -> None:
    options = ReadOptions(template="?", file_columns=("file",))
    with pytest.raises(InputError, match=why):
        only(write(folder, row), options)


def test_a_row_with_messages_names_its_files_there(folder: Path) -> None:
    row = {"messages": [{"role": "user", "content": "?"}], "file": "media/a.png"}
    with pytest.raises(InputError, match="messages of its own"):
        only(write(folder, row), ReadOptions(file_columns=("file",)))


def test_other_bytes_in_a_file_are_another_input(folder: Path) -> None:
    source = write(folder, ask(image("file:media/a.png")))

    def checked() -> Checked:
        return check_input(source, ReadOptions())

    first = checked()
    assert first.files_sha256 == checked().files_sha256 != b""
    (folder / "media" / "a.png").write_bytes(PNG + b"more")
    assert first.sha256 == checked().sha256
    assert first.files_sha256 != checked().files_sha256
    assert check_input(write(folder, {"prompt": "?"}), ReadOptions()).files_sha256 == b""
