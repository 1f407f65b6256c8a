"""The cases of `./run bench peers`, one idea a file.

`roster` (who is measured), `environment` (each has its own), `calling` (a program for each, run
with the Python of its environment), `beside` (a peer and our worker, by turns).
"""
