"""Code, data and runs to a box, artifacts back from it: streamed, verified by sha256, visible only when complete."""
