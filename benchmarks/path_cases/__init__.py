"""The cases of `./run bench path`, one idea a file.

`prompts` (what is asked), `stand_in` (the simulator), `measured` (CPU of processes), `mill` (our
worker, at work), `bare` (the loops that people write), then the cases.
"""
