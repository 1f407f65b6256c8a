"""Draw where a worker's CPU goes, from stacks that py-spy recorded, as a small SVG.

    py-spy record --gil -r 200 -d 20 -f raw -o stacks.raw -p PID
    python benchmarks/path_cases/flame.py stacks.raw docs/worker-cpu.svg

Widths are shares of the samples. Threads stand side by side, callers above what they call.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

_WIDTH, _HEIGHT = 1000, 16
_LEAST = 0.006
"""share of the samples below which a frame is not drawn"""
_FRAME = re.compile(r"(?P<name>.+) \((?P<file>.+?)(?::\d+)?\)")
# How a thread or a command begins, the same for all.
_SKIPPED = (
    *("threading.py", "click/", "runpy", "celery/bin", "celery/__main__", "celery/bootsteps.py"),
    *("celery/worker/worker.py", "celery/worker/consumer/consumer.py"),
)
_OWNERS = (
    ("#7aa6d8", ("workers/", "schema/")),
    ("#e8a86b", ("openai/", "httpx2/", "aiohttp/", "anthropic/", "genai/", "pydantic/")),
    ("#8fc48f", ("celery/", "kombu/", "vine/")),
    ("#b79bd6", ("sqlalchemy/",)),
    ("#d98a8a", ("redis/",)),
)
_OTHERS = "#cccccc"


@dataclass(slots=True)
class Node:
    """A function on a stack, and how often it was seen there."""

    count: int = 0
    below: dict[str, "Node"] = field(default_factory=dict)


def read(lines: Iterator[str]) -> Node:
    """Lay the stacks over each other."""
    root = Node()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        node = root
        node.count += int(count)
        for frame in stack.split(";"):
            found = _FRAME.fullmatch(frame)
            if found is None or any(part in found["file"] for part in _SKIPPED):
                continue
            node = node.below.setdefault(f"{found['name']} ({found['file']})", Node())
            node.count += int(count)
    return root


def draw(root: Node) -> str:
    """Write the SVG."""
    boxes = list(_boxes(root, root.count, 0.0, 0))
    height = (max(depth for depth, _ in boxes) + 1) * _HEIGHT
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        ' font-family="sans-serif" font-size="10">'
    )
    return "\n".join([head, *(box for _, box in boxes), "</svg>", ""])


def _boxes(node: Node, total: int, left: float, depth: int) -> Iterator[tuple[int, str]]:
    for name, below in sorted(node.below.items(), key=lambda item: -item[1].count):
        width = below.count / total * _WIDTH
        if below.count / total >= _LEAST:
            yield depth, _box(name, left, depth, width)
            yield from _boxes(below, total, left, depth + 1)
        left += width


def _box(name: str, left: float, depth: int, width: float) -> str:
    file = name.rpartition("(")[2]
    color = next((c for c, parts in _OWNERS if any(p in file for p in parts)), _OTHERS)
    top = depth * _HEIGHT
    shown = escape(name.partition(" ")[0][: int(width / 6)]) if width > 24 else ""
    text = f'<text x="{left + 2:.1f}" y="{top + 11}">{shown}</text>' if shown else ""
    title = f"<title>{escape(name)}: {width / _WIDTH:.1%}</title>"
    return (
        f'<g>{title}<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_HEIGHT - 1}"'
        f' fill="{color}"/>{text}</g>'
    )


if __name__ == "__main__":
    stacks, picture = map(Path, sys.argv[1:])
    with stacks.open() as lines:
        picture.write_text(draw(read(lines)))
