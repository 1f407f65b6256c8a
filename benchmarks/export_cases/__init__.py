"""A batch of a million written to files, and the loop that people write for it."""
