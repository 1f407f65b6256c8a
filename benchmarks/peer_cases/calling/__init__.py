"""One program for each peer: `python with_NAME.py URL CALLS IN_FLIGHT`.

Each calls as its documents show, with its own limits lifted, and keeps what it returns by itself.
How far it is, is counted by who answers.
"""
