"""A database with a batch of a million jobs, and what is asked of it."""
