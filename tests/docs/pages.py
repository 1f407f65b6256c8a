"""The pages that people read, taken apart: links, anchors, code spans, blocks of code."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"(?<!\\)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
_IMAGE = re.compile(r"<img[^>]+src=\"([^\"]+)\"|<a[^>]+href=\"([^\"]+)\"")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """The page without its blocks of code."""
        return _BLOCK.sub("", self.text)

    @property
    def links(self) -> list[str]:
        """Targets of links and pictures."""
        prose = _SPAN.sub("", self.prose)
        inline = [found for pair in _IMAGE.findall(prose) for found in pair if found]
        return _LINK.findall(prose) + inline

    @property
    def anchors(self) -> set[str]:
        """What `#…` may name, as GitHub makes it of the headings."""
        return {_anchor(heading) for heading in _HEADING.findall(self.prose)}

    @property
    def spans(self) -> list[str]:
        """What stands between backticks."""
        return _SPAN.findall(self.prose)

    def blocks(self, language: str) -> list[str]:
        """Blocks of code in *language*."""
        return [code for _, found, code in _BLOCK.findall(self.text) if found == language]


def _anchor(heading: str) -> str:
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")


PAGES = [
    Page(path) for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))
]


def page(name: str) -> Page:
    """Find a page by its path from the top of the repository."""
    return Page(ROOT / name)
