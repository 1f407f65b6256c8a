from pathlib import Path

import pytest

from promptmill.producer.embedded.binaries import Binary, bundled_binary, find_binaries


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return tmp_path / "server"


def says(program: Path, text: str) -> str:
    program.write_text(f"#!/bin/sh\necho '{text}'\n")
    program.chmod(0o700)
    return str(program)


def test_the_bundled_server_comes_first() -> None:
    bundled = bundled_binary()
    assert bundled is not None
    found = list(find_binaries(lambda: bundled, {"valkey-server": str(bundled)}.get))
    assert [binary.origin for binary in found] == ["bundled", "PATH"]
    assert found[0].flavour == "valkey"


@pytest.mark.parametrize(
    ("said", "flavour", "data"),
    [
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc", "redis", "redis-7.0"),
        ("Redis server v=8.10.2 sha=00000000:0 malloc=jemalloc", "redis", "redis-8.10"),
        ("Valkey server v=9.1.2 sha=00000000:1 malloc=libc", "valkey", "valkey-9.1"),
    ],
)
def test_a_server_on_path_is_known_by_what_it_says(
    program: Path, said: str, flavour: str, data: str
) -> None:
    which = {"redis-server": says(program, said)}.get
    (found,) = find_binaries(lambda: None, which)
    assert (found.flavour, found.data_name, found.origin) == (flavour, data, "PATH")


@pytest.mark.parametrize(
    "said", ["Redis server v=6.2.14 sha=00000000:0", "I am no Redis", "Redis server v=seven"]
)
def test_what_is_too_old_or_something_else_is_passed_over(program: Path, said: str) -> None:
    which = {"redis-server": says(program, said)}.get
    assert list(find_binaries(lambda: None, which)) == []


def test_a_program_that_does_not_run_is_passed_over(program: Path) -> None:
    program.write_text("#!/bin/sh\nexit 1\n")
    assert list(find_binaries(lambda: program, lambda _: None)) == []
    program.chmod(0o700)
    assert list(find_binaries(lambda: program, lambda _: None)) == []


def test_a_binary_names_itself() -> None:
    binary = Binary(path=Path("/s"), flavour="valkey", version="9.1.2", origin="bundled")
    assert str(binary) == "valkey 9.1.2 (bundled)"
