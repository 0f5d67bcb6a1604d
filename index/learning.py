"""Boosts learnt from labelled queries: fusion, then types, then groups of tags, then single tags.

Each step needs its number of labels and is refused below it; nothing is tuned on what it is tested on; a step is kept
only when the paired interval of its gain excludes 0 and visual R@5 does not fall.
"""
