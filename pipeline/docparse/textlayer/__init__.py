"""The `text-layer` analyst: captions, structs and facts from a document's own words, and nothing else."""
