"""Submit batches by the clock."""
