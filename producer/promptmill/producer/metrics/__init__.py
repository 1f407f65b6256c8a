"""All metrics for Prometheus: their table, their values, and the server of a dispatcher."""
