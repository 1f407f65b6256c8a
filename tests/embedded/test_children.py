import fcntl
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from promptmill.producer.embedded import logs
from promptmill.producer.embedded.children import Children, Ended
from promptmill.producer.embedded.tether import tethered
from promptmill.schema.secret import Secret
from tests.services.waiting import wait_until

WATCHES = """
    import fcntl, os, sys, threading
    lock = open(sys.argv[2], 'w')
    fcntl.flock(lock, fcntl.LOCK_EX)
    from promptmill.schema.parent import watch_parent
    done = threading.Event()
    def gone():
        print('parent gone', flush=True)
        if sys.argv[1] != 'stuck':
            done.set()
    watch_parent(int(os.environ['PROMPTMILL_PARENT_FD']), gone, then_exit_after_s=0.1)
    print('up', flush=True)
    done.wait()
"""
LINGERS = """
    import fcntl, signal, sys
    lock = open(sys.argv[1], 'w')
    fcntl.flock(lock, fcntl.LOCK_EX)
    print('up', flush=True)
    signal.pause()
"""
STARTS_ONE = """
    import sys
    from pathlib import Path
    from promptmill.producer.embedded.children import Children
    children = Children(Path(sys.argv[1]))
    children.start('child', sys.argv[2:], {})
    sys.stdin.read()
"""


def python(script: str, *args: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(script), *args]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def children(folder: Path) -> Iterator[Children]:
    with Children(folder, secrets=[Secret("sk-very-secret")]) as group:
        yield group


def first_end(children: Children) -> Ended:
    return wait_until(children.ended, "a child to end")[0]


def said(folder: Path) -> str:
    return logs.tail(folder / "child.log")


def is_held(lock: Path) -> bool:
    """Say whether a process that locked this file still runs."""
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_child_that_dies_is_reported_once_with_its_last_words(children: Children) -> None:
    children.start("child", python("print('no such model'); raise SystemExit(3)"), {})
    end = first_end(children)
    assert (end.name, end.returncode, end.last_words) == ("child", 3, "no such model")
    assert children.ended() == []


def test_last_words_hold_no_key(children: Children) -> None:
    children.start("child", python("print('refused: sk-very-secret')"), {})
    assert first_end(children).last_words == f"refused: {Secret('sk-very-secret')!r}"


def test_a_child_sees_our_environment_and_its_own(
    children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "1")
    script = "import os; print(os.environ['OURS'], os.environ['PROMPTMILL_X'])"
    children.start("child", python(script), {"PROMPTMILL_X": "2"})
    assert first_end(children).last_words == "1 2"


def test_a_child_is_asked_to_end_first(children: Children, folder: Path) -> None:
    script = """
        import signal, sys
        signal.signal(signal.SIGTERM, lambda *_: (print('warm', flush=True), sys.exit(0)))
        print('up', flush=True)
        signal.pause()
    """
    children.start("child", python(script), {})
    wait_until(lambda: "up" in said(folder), "the child to be up")
    assert children.stop(grace_s=10) == []
    assert said(folder) == "up\nwarm"


def test_a_child_that_does_not_end_is_killed_and_named(children: Children, folder: Path) -> None:
    script = """
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print('up', flush=True)
        signal.pause()
    """
    children.start("child", python(script), {})
    wait_until(lambda: "up" in said(folder), "the child to be up")
    pid = children.pid("child")
    assert children.stop(grace_s=0.1) == ["child"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_ctrl_c_on_the_terminal_does_not_reach_a_child(children: Children) -> None:
    children.start("child", python("import signal; signal.pause()"), {})
    assert os.getpgid(children.pid("child")) != os.getpgid(0)
    assert os.getsid(children.pid("child")) != os.getsid(0)


@pytest.mark.parametrize("kind", ["willing", "stuck"])
def test_a_child_ends_when_its_parent_is_killed(folder: Path, tmp_path: Path, kind: str) -> None:
    lock = tmp_path / "lock"
    child = python(WATCHES, kind, str(lock))
    starter = python(STARTS_ONE, str(folder), *child)
    with subprocess.Popen(starter, stdin=subprocess.PIPE) as parent:
        wait_until(lambda: said(folder).startswith("up"), "the child to be up")
        assert is_held(lock)
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_held(lock), "the child to follow its parent")
    assert said(folder).endswith("parent gone")


def test_a_program_that_knows_of_no_parent_ends_with_it_too(folder: Path, tmp_path: Path) -> None:
    """Beside `promptmill flower` and `promptmill serve` there is one."""
    lock = tmp_path / "lock"
    (tmp_path / "lingers.py").write_text(textwrap.dedent(LINGERS))
    starter = python(STARTS_ONE, str(folder), *tethered(["lingers", str(lock)], grace_s=60))
    with subprocess.Popen(starter, stdin=subprocess.PIPE, cwd=tmp_path) as parent:
        wait_until(lambda: said(folder).startswith("up"), "the child to be up")
        assert is_held(lock)
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_held(lock), "the child to follow its parent")


def test_a_log_that_grew_too_big_is_cut_while_it_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MAX_BYTES", 10)
    folder.mkdir()
    path = folder / "child.log"
    writer = logs.append_to(path)
    os.write(writer, b"0123456789abcdef")
    logs.trim(path)
    os.write(writer, b"after")
    os.close(writer)
    assert path.read_bytes() == b"after"
    assert (folder / "child.log.1").read_bytes() == b"6789abcdef"
    assert path.stat().st_mode & 0o777 == 0o600
