"""What is told of a batch: how far it is, how fast, what went wrong, and what it cost."""
