"""The providers' batch APIs: many requests handed in at once, answered later, at half the price."""
