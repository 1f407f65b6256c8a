"""docs/reference.md is what the code says."""

import subprocess
import sys

from tests.docs.pages import ROOT, page

MAKE = """
import sys
sys.path.insert(0, "docs")
import reference
print(reference.reference(), end="")
"""


def test_the_reference_is_what_the_code_would_make_it() -> None:
    made = subprocess.run(
        [sys.executable, "-c", MAKE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert page("docs/reference.md").text == made.stdout, "type `./run reference`"
