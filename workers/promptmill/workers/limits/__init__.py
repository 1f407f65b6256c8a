"""The limiter: every worker process on every machine books its calls in one shared place."""
