"""Links lead somewhere, and every page can be reached."""

import pytest

from tests.docs.pages import PAGES, ROOT, Page, page


@pytest.mark.parametrize("page_", PAGES, ids=str)
def test_links_lead_to_files_of_the_repository_and_to_headings(page_: Page) -> None:
    for link in page_.links:
        target, _, anchor = link.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        path = (page_.path.parent / target).resolve() if target else page_.path
        assert path.is_relative_to(ROOT), f"{link} leaves the repository"
        assert path.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in Page(path).anchors, f"{link} names no heading of {path.name}"


def test_the_index_links_every_page_of_docs() -> None:
    linked = {link.partition("#")[0] for link in page("docs/README.md").links}
    there = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert there <= linked
