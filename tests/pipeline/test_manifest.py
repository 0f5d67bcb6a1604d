"""Manifests: immutable, with ids that depend on the source and nothing else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import UsageError
from pipeline.core.manifest import Item, Manifest, Problem, Source, item_id, read_manifest

Place = tuple[str, str, int | None]
PLACES = st.tuples(
    st.text("0123456789abcdef", min_size=64, max_size=64),
    st.text(min_size=1).filter(lambda text: text.isprintable() or "\n" in text),
    st.none() | st.integers(1, 9999),
)


def make_item(sha256: str, path: str, page: int | None, problem: Problem | None = None) -> Item:
    source = Source(path=path, sha256=sha256, bytes=1, media_type="application/pdf")
    return Item(
        item_id=item_id(sha256, path, page), group=f"doc-{sha256[:8]}", source=source, page=page, problem=problem
    )


@given(st.lists(PLACES, unique=True))
def test_different_places_have_different_ids_and_the_same_place_the_same(
    places: list[Place],
) -> None:
    ids = [item_id(*place) for place in places]
    assert len(set(ids)) == len(places)
    assert ids == [item_id(*place) for place in places]
    assert all(len(name) == 24 for name in ids)


@given(st.lists(PLACES, unique=True), st.integers(1, 5))
def test_shards_share_out_every_item_once(places: list[Place], of: int) -> None:
    manifest = Manifest(make_item(*place) for place in places)
    parts = [item.item_id for index in range(1, of + 1) for item in manifest.shard(index, of)]
    assert Counter(parts) == Counter(item.item_id for item in manifest)


def test_a_manifest_reads_back_as_it_was_written(tmp_path: Path) -> None:
    items = [
        make_item("a" * 64, "data/два слова 'x' \"y\"\n.pdf", 1),
        make_item("b" * 64, "data/bad.pdf", None, Problem(type="encrypted", message="needs a password")),
    ]
    manifest = Manifest(items)
    manifest.write(tmp_path / "manifest.jsonl")
    read = read_manifest(tmp_path / "manifest.jsonl")
    assert list(read) == items
    assert read.digest == manifest.digest
    assert manifest.groups == {"doc-aaaaaaaa": 1, "doc-bbbbbbbb": 1}
    assert read.items[0].folder == "artifacts/doc-aaaaaaaa/p0001"


def test_a_damaged_manifest_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    item = make_item("a" * 64, "a.pdf", 1)
    Manifest([item]).write(path)
    path.write_bytes(path.read_bytes() + b'{"item_id": "x"}\n')
    with pytest.raises(UsageError, match=r"line 2: group"):
        read_manifest(path)
    Manifest([item, item]).write(path)
    with pytest.raises(UsageError, match="more than once"):
        read_manifest(path)
    with pytest.raises(UsageError, match="plan the run first"):
        read_manifest(tmp_path / "none.jsonl")
