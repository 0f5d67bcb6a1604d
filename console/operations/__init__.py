"""The use cases: each usable alone, resumable, and reporting by events; the CLI and the app call the same ones."""
