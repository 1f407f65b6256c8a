"""Anthropic, and every server that speaks as Anthropic does."""
