"""Code that runs ON the box: standard library only, Python 3.9 or newer, pushed by content hash.

The laptop imports the same modules for what both sides must agree on: frames, names, tree hashes, job words.
"""
