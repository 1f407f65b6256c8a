"""Cases of `./run bench serve` that are processes of their own."""
