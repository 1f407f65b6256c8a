"""The lane: jobs asked by the providers' batch APIs, many at once and at half the price."""
