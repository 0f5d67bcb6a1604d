"""SAM 2: boxes on pages in, masks out; the published checkpoints by either of two implementations."""
