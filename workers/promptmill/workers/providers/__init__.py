"""One folder for each provider: its wire format, its SDK, its errors. Nothing of it leaves it."""
