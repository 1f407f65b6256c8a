"""All faults by number: what is played, what suites of `./run test` hold, what is still open."""

import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic

from tests.chaos.stage import Figures, NotHereError, Stage

ROOT = Path(__file__).parents[2]
MOST_S = {False: 300, True: 3 * 3600}
"""for one fault, small and in full"""


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of the catalogue."""

    number: str
    name: str
    """what `./run chaos` calls it, too"""
    done: str
    """what is done to the mill"""
    play: Callable[[Stage], None] | None = None
    suites: tuple[str, ...] = ()
    """tests that hold it, where it needs no mill of its own"""
    open: str = ""
    """what does not hold yet, and why"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one fault."""

    fault: Fault
    word: str
    """holds, FAILS, open, or skipped"""
    why: str = ""
    figures: Figures | None = None


def judge(fault: Fault, *, seed: int, is_full: bool) -> Verdict:
    """Play *fault*, and say whether everything held."""
    if fault.play is None and not fault.suites:
        return Verdict(fault, "open", fault.open)
    began = monotonic()
    figures = Figures()
    try:
        if fault.suites:
            _run_suites(fault.suites)
            figures.seconds = monotonic() - began
        if fault.play is not None:
            figures = _play(fault, fault.play, seed=seed, is_full=is_full)
    except NotHereError as why:
        return Verdict(fault, "skipped", str(why))
    except Exception as error:  # noqa: BLE001  one fault must not keep the others from being played
        if fault.open:
            # Another failure than the one that is known must not hide behind it.
            return Verdict(fault, "open", f"{fault.open} (seen: {_line(error)})")
        traceback.print_exc()
        return Verdict(fault, "FAILS", _line(error))
    if fault.open and fault.suites:  # its tests hold a part of it
        return Verdict(fault, "open", fault.open, figures)
    return Verdict(fault, "holds", f"was open: {fault.open}" if fault.open else "", figures)


def _play(fault: Fault, play: Callable[[Stage], None], *, seed: int, is_full: bool) -> Figures:
    with tempfile.TemporaryDirectory(prefix="pm-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        with ExitStack() as open_:
            # A fault that hangs us too must not keep the others from being played.
            open_.callback(signal.alarm, 0)
            signal.signal(signal.SIGALRM, _give_up)
            signal.alarm(MOST_S[is_full])
            stage = Stage(Path(name), Random(f"{seed} {fault.number}"), open_, is_full=is_full)
            play(stage)
            return stage.figures


def _run_suites(suites: tuple[str, ...]) -> None:
    options = ["-q", "-x", "-m", "", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, *suites]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def _give_up(_number: int, _frame: object) -> None:
    msg = "it took too long"
    raise TimeoutError(msg)


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
