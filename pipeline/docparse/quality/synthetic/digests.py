"""The truth on record: digests of the first pages of every split, so that nobody measures against another truth."""

from __future__ import annotations

from pathlib import Path

import orjson

from pipeline.docparse.quality.synthetic.pages import SPLITS, VERSION, Split, page

SEED = 1
"""The seed whose pages are on record."""
RECORDED_PAGES = 4
_FILE = Path(__file__).with_name("truth_sha256.json")


def recorded() -> dict[str, list[str]]:
    """Split → digests of the truth of its first pages; raises ValueError for a file of another generator's version."""
    told = orjson.loads(_FILE.read_bytes())
    if told["version"] != VERSION:
        raise ValueError(f"{_FILE.name} is of version {told['version']}, the generator of {VERSION}: record it anew")
    splits: dict[str, list[str]] = told["splits"]
    return splits


def pages_with_other_truth(split: Split, seed: int, count: int) -> list[str]:
    """Names of the first `count` pages whose truth is not the one on record; other seeds have none on record."""
    if seed != SEED:
        return []
    known = recorded()[split][:count]
    drawn = [page(split, seed, number) for number in range(len(known))]
    return [one.name for one, digest in zip(drawn, known, strict=True) if one.sha256() != digest]


def record() -> None:
    """Write the record anew; only together with a new `VERSION`."""
    splits = {split: [page(split, SEED, number).sha256() for number in range(RECORDED_PAGES)] for split in SPLITS}
    told = {"version": VERSION, "seed": SEED, "splits": splits}
    _FILE.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")
