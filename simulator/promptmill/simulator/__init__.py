"""A stand-in for OpenAI, Anthropic and Gemini over real HTTP, with limits, faults and a bill."""
