"""Hypothesis, the same in every run: a failure here is a failure everywhere.

Hypothesis also tries constants that it finds in whatever modules of the project are loaded, so what
it tries would depend on the tests that ran before in the process. `./run test --hypothesis-seed=N`
explores.
"""

from hypothesis import settings
from hypothesis.internal.conjecture import providers


def make_repeatable() -> None:
    """Take away chance. Call this before test modules are imported."""
    settings.register_profile("repeatable", derandomize=True, database=None)
    settings.load_profile("repeatable")
    none_yet = providers._local_constants
    providers._get_local_constants = lambda: none_yet
