"""What a job costs us beside what people use today: one JSON object a line, with a `case` key.

    ./run bench peers [PEER ...] [--rounds N] [--jobs N] [--in-flight N]

Ours is all in, as in `path`; a peer keeps and limits what it keeps and limits by itself. Each has
an environment of its own, under `benchmarks/.peers`, made when it is first needed; one that cannot
be installed is skipped with a word. The exit status is 0 where all was measured or skipped.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common.command import asked_for, run_cases
from benchmarks.path_cases.plan import Plan
from benchmarks.peer_cases.beside import beside
from benchmarks.peer_cases.roster import PEERS

CASES = {peer.name: beside(peer) for peer in PEERS}


def main() -> None:
    """Run the peers that are asked for, all by default, in the order of the roster."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (3)")
    parser.add_argument("--jobs", type=int, help="jobs of a run")
    parser.add_argument("--in-flight", type=int, help="calls at once")
    asked = asked_for(parser, "peer", list(CASES))
    plan = Plan(asked.rounds, asked.jobs, asked.in_flight)
    sys.exit(0 if run_cases("peers", CASES, asked.chosen, plan) else 1)


if __name__ == "__main__":
    main()
