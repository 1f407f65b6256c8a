"""Answers to requests that are similar: what must be equal, vectors, and which is the nearest."""
