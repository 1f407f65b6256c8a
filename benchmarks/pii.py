"""What masking finds, misses and takes for personal data, and how fast it is.

    ./run bench pii

One object a kind over the labelled set (`pii_cases/labelled.py`; a made one: what real texts hold
is more varied), one of what is hard and missed, one of the speed: MB of text a second of CPU, of
prose with a value in each kilobyte, and of texts that are made to take long.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common.command import asked_for, run_cases
from benchmarks.common.figures import at_least, judged
from benchmarks.pii_cases.labelled import HARD, Labelled, labelled
from promptmill.schema.pii.masking import masked
from promptmill.schema.pii.shapes import Kind, find

SEED = 2026
_MEGABYTES = 4
_PROSE = "The quarterly figures are attached; see section 4.2 of the report from 2026-11-28. "
_HOSTILE = {
    "digits": "1" * 40,
    "digits_and_spaces": "4 1 1 1 ",
    "at_signs": "a.b@c-d.",
    "dots": "1.2.3.",
    "colons": "ab:cd:",
    "pluses": "+1 (2) ",
    "capitals": "DE89 ",
    "token": "eyJ" + "a" * 30 + ".",
}


def found_by_kind(texts_of_each: int) -> Iterator[dict[str, Any]]:
    """Count by kind what is found, missed, and found where nothing is."""
    texts = list(labelled(seed=SEED, of_each=texts_of_each))
    hits, missed, false = _counted(texts)
    for kind in Kind:
        there = hits[kind] + missed[kind]
        figures = {
            "labelled": there,
            "found": hits[kind],
            "overlooked": missed[kind],
            "false_alarms": false[kind],
            "found_share": hits[kind] / there,
            "right_share": hits[kind] / max(1, hits[kind] + false[kind]),
        }
        demands = {"found_share": at_least(0.98), "right_share": at_least(0.95)}
        yield judged(kind.value, figures, demands, texts=len(texts))
    hits, missed, false = _counted(HARD)
    yield judged("hard", {"found": hits.total(), "overlooked": missed.total()}, {})


def speed(_texts_of_each: int) -> Iterator[dict[str, Any]]:
    """Mask texts of some megabytes."""
    values = " ".join(text for text, _ in labelled(seed=SEED, of_each=4))
    usual = [_PROSE * 12 + values[at : at + 80] for at in range(0, len(values), 80)]
    figures = {"prose": _rate(usual)}
    figures |= {name: _rate([part * (8000 // len(part))]) for name, part in _HOSTILE.items()}
    yield judged("mb_a_second", figures, {name: at_least(1) for name in figures})


def _counted(texts: Sequence[Labelled]) -> tuple[Counter[str], Counter[str], Counter[str]]:
    hits, missed, false = Counter[str](), Counter[str](), Counter[str]()
    for text, expected in texts:
        found = [(one.kind, text[one.start : one.end]) for one in find(text)]
        for one in expected:
            (hits if one in found else missed)[one[0]] += 1
        for kind, value in found:
            false[kind] += (kind, value) not in expected
    return hits, missed, false


def _rate(texts: Sequence[str]) -> float:
    size, began = 0, process_time()
    while size < _MEGABYTES * 1e6:
        for text in texts:
            masked(text)
            size += len(text.encode())
    return size / 1e6 / (process_time() - began)


CASES: dict[str, Callable[[int], Iterator[dict[str, Any]]]] = {
    "found": found_by_kind,
    "speed": speed,
}


def main() -> None:
    """Run the cases that are asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=500, help="of each kind")
    asked = asked_for(parser, "case", list(CASES))
    sys.exit(0 if run_cases("pii", CASES, asked.chosen, asked.texts) else 1)


if __name__ == "__main__":
    main()
