"""Analysis by a vision model behind an HTTP API that speaks as OpenAI does."""
