"""`python -m promptmill.producer` is the command `promptmill`."""

from promptmill.producer.cli.start import main

main()
