"""OpenAI, and every server that speaks as OpenAI does."""
