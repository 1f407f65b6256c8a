"""`python -m promptmill.producer` is the command `promptmill`."""

from promptmill.producer.cli.main import main

main()
