"""Gemini by Google's API keys, through either of Google's SDKs."""
