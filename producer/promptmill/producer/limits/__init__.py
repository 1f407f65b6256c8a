"""How limits stand, for people and metrics, and what people change of them while work goes on."""
