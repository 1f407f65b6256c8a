"""What is answered: a file of routes for each kind of thing."""
