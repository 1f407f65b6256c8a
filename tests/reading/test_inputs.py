"""Bytes become numbered lines: packed, cut, marked and spooled ones too, in bounded memory."""

import gzip
import hashlib
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptmill.producer.reading import (
    Input,
    Prompt,
    ReadOptions,
    check_input,
    open_input,
    read_prompts,
    refuse_duplicate,
)
from promptmill.producer.reading.gunzip import UnpackCaps, gunzip
from promptmill.producer.reading.lines import split_lines
from promptmill.schema.errors import InputError
from tests.reading.packed import bomb

Read = Callable[..., list[Prompt]]
Make = Callable[..., Input]
TWO = b'{"text": "a"}\n{"text": "b"}\n'


@pytest.mark.parametrize(
    "data",
    [
        TWO,
        TWO[:-1],
        TWO.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + TWO,
        gzip.compress(TWO),
        gzip.compress(TWO[:14]) + gzip.compress(TWO[14:]) + b"\x00" * 512,
        gzip.compress(b"\xef\xbb\xbf" + TWO),
    ],
    ids=["plain", "no last newline", "CRLF", "BOM", "gzip", "gzip members, padded", "gzip BOM"],
)
def test_two_lines_are_two_prompts_however_they_are_stored(data: bytes, read: Read) -> None:
    first, second = read(data)
    assert (first.position, second.position) == (1, 2)
    assert first.request == {"messages": [{"role": "user", "content": "a"}]}


def test_blank_lines_are_skipped_and_counted(read: Read) -> None:
    prompts = read(b'\n \t\r\n{"text": "a"}\n\n\n{"text": "b"}\n\n')
    assert [(p.position, p.custom_id) for p in prompts] == [(3, "line-3"), (6, "line-6")]


@given(st.binary(max_size=200), st.integers(1, 50))
def test_lines_are_the_same_however_the_bytes_are_cut(data: bytes, size: int) -> None:
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    found = list(split_lines(chunks, file="f", max_bytes=1000))
    whole = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    expected = [(at + 1, raw) for at, raw in enumerate(whole) if raw and not raw.isspace()]
    assert [(line.number, line.raw) for line in found] == expected


@pytest.mark.parametrize("cut", [7, 1000])
def test_a_line_at_the_cap_is_read_and_one_byte_more_is_not(cut: int) -> None:
    def read_lines(data: bytes) -> int:
        chunks = [data[at : at + cut] for at in range(0, len(data), cut)]
        return len(list(split_lines(chunks, file="f", max_bytes=20)))

    assert read_lines(b"x" * 20 + b"\n" + b"x" * 20) == 2
    for data in (b"\n" + b"x" * 21, b"\n" + b"x" * 21 + b"\ny"):
        with pytest.raises(InputError, match="line 2: the line is longer than 20 bytes"):
            read_lines(data)


@given(st.lists(st.binary(max_size=400), max_size=4), st.integers(1, 60))
def test_gzip_is_unpacked_however_it_is_cut(members: list[bytes], size: int) -> None:
    packed = b"".join(gzip.compress(member) for member in members)
    chunks = [packed[at : at + size] for at in range(0, len(packed), size)]
    assert b"".join(gunzip(chunks, file="f", caps=UnpackCaps())) == b"".join(members)


def test_a_gzip_bomb_is_refused_after_a_few_megabytes(make_input: Make) -> None:
    with pytest.raises(InputError, match="unpacks to far more than prompts do"):
        check_input(make_input(bomb(400)), ReadOptions())


def test_an_unpacked_size_beyond_all_measure_is_refused() -> None:
    packed = gzip.compress(os.urandom(5000))
    with pytest.raises(InputError, match="unpacks to far more"):
        list(gunzip([packed], file="f", caps=UnpackCaps(total_bytes=4000)))


LONG_LINE = """
import resource, sys
from pathlib import Path
from promptmill.producer.reading import ReadOptions, check_input, open_input
from promptmill.schema.errors import InputError

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    with open_input(sys.argv[1], Path(sys.argv[2])) as source:
        check_input(source, ReadOptions())
except InputError as error:
    print(error)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) // (1 if sys.platform == "linux" else 1024))
"""


@pytest.mark.parametrize("way", ["file", "stdin"])
def test_a_line_of_300_megabytes_is_refused_in_little_memory(way: str, tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.write(b'{"text": "fine"}\n{"text": "')
        for _ in range(300):
            file.write(b"x" * 1_000_000)
    name = str(path) if way == "file" else "-"
    with path.open("rb") as stdin:
        out = subprocess.run(
            [sys.executable, "-c", LONG_LINE, name, str(tmp_path / "spool")],
            stdin=stdin,
            capture_output=True,
            text=True,
            check=True,
        )
    *message, grown_kib = out.stdout.splitlines()
    assert "line 2: the line is longer than 16,777,216 bytes" in message[0]
    assert int(grown_kib) < 100 * 1024
    path.unlink()


def test_a_million_bad_lines_are_told_as_a_few(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b'{"text": "fine"}\n' + b"{]\n" * 1_000_000)
    with pytest.raises(InputError) as caught, open_input(path, tmp_path) as source:
        check_input(source, ReadOptions(max_errors=3))
    assert caught.value.line == 2
    _, _, _, third, fourth = str(caught.value).splitlines()
    assert "line 3: this is not JSON" in third
    assert "line 4: this is not JSON" in fourth


def test_standard_input_is_spooled_and_removed(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    with open_input("-", spool, stdin=io.BytesIO(TWO)) as source:
        assert source.name == "standard input"
        assert check_input(source, ReadOptions()).rows == 2
        assert len(list(read_prompts(source, ReadOptions()))) == 2
        (copy,) = spool.iterdir()
        assert copy.stat().st_mode & 0o077 == 0
    assert not list(spool.iterdir())


def test_a_pipe_is_spooled_since_it_is_read_twice(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(TWO,))
    writer.start()
    with open_input(pipe, tmp_path / "spool") as source:
        assert check_input(source, ReadOptions()).rows == 2
        assert len(list(read_prompts(source, ReadOptions()))) == 2
    writer.join()


@pytest.mark.parametrize(
    ("name", "problem"), [("absent.jsonl", "no such file"), (".", "is a directory")]
)
def test_a_path_that_is_no_file_is_refused(name: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=problem):
        open_input(tmp_path / name, tmp_path)


@pytest.mark.parametrize("options", [{}, {"limit": 1}])
def test_the_hash_is_that_of_the_raw_bytes(options: dict[str, Any], make_input: Make) -> None:
    packed = gzip.compress(TWO * 1000)
    checked = check_input(make_input(packed), ReadOptions(**options))
    assert checked.sha256 == hashlib.sha256(packed).digest()
    assert checked.size_bytes == len(packed)
    assert checked.rows == options.get("limit", 2000)


def test_a_file_that_changes_between_the_passes_is_noticed(make_input: Make) -> None:
    source = make_input(TWO)
    check_input(source, ReadOptions())
    source.path.write_bytes(TWO.replace(b"b", b"c"))
    with pytest.raises(InputError, match="the file changed while it was read"):
        list(read_prompts(source, ReadOptions()))


def test_the_check_counts_models_and_keeps_a_small_even_sample(
    make_input: Make, batch_line: Callable[..., bytes]
) -> None:
    models = ["gpt-4o", "claude-x", None]
    lines = [batch_line(str(at), model=models[at % 3]) for at in range(3000)]
    source = make_input(b"\n".join(lines))
    checked = check_input(source, ReadOptions())
    assert checked.models == {"gpt-4o": 1000, "claude-x": 1000, None: 1000}
    assert [p.position for p in checked.sample] == list(range(1, 3001, 4))
    few = check_input(source, ReadOptions(held_bytes=10_000)).sample
    assert 5000 < sum(len(prompt.body) for prompt in few) <= 10_000
    assert checked.body_bytes > 3000 * len('{"messages":[{"content":"hi","role":"user"}]}') - 1


def test_a_duplicate_custom_id_is_told_with_both_lines(make_input: Make) -> None:
    rows = b'{"text": "a", "id": "x"}\n{"text": "a"}\n\n{"text": "b", "id": "x"}\n'
    error = refuse_duplicate(make_input(rows), ReadOptions(), "x")
    assert error.line == 4
    assert "the custom_id is that of line 1" in str(error)
