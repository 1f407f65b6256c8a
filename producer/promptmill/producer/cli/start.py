"""Where the program begins and ends: with as little looking for garbage as can be.

What a command imports are some 80,000 objects, all of which stay. Python would look through them a
dozen times while they come and once more at the end: a seventh of what `status` takes.
"""

import gc

_YOUNG = 80_000
"""objects made before Python looks for garbage among them, where it is 700 at first"""


def main() -> None:
    """Import the verbs, run the one that was typed, and exit with its code."""
    gc.set_threshold(_YOUNG)
    from promptmill.producer.cli.main import main as run

    gc.freeze()
    try:
        run()
    finally:
        gc.freeze()
