"""What `./run bench pii` measures."""
