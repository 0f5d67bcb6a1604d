"""What people call the items of a run: the source's path and the page, from its manifest."""

from __future__ import annotations

from pathlib import Path

import orjson

from console.models.run_view import Failure
from console.words import visible


class ItemNames:
    """Item id → `path` or `path, page n`. The manifest never changes, so it is read once, when first needed."""

    def __init__(self, run_folder: Path) -> None:
        self._manifest = run_folder / "manifest.jsonl"
        self._names: dict[str, str] = {}

    def of(self, failure: Failure) -> str:
        """The failed item as its owner knows it; its document's folder while there is no manifest."""
        if not self._names and self._manifest.exists():
            for line in self._manifest.read_bytes().splitlines():
                item = orjson.loads(line)
                page = f", page {item['page']}" if item.get("page") else ""
                self._names[item["item_id"]] = f"{visible(item['source']['path'])}{page}"
        return self._names.get(failure.item, failure.group or failure.item)
