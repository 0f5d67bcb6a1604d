"""A found record as a hit: what its metadata names, as values and absolute paths."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from index.found import Hit, Why
from index.rank import is_text
from index.snippet import Snippet
from index.view import FoundRecord


def hit_of(
    record: FoundRecord,
    rank: int,
    score: float,
    why: Why,
    shown: Snippet,
    similar: tuple[str, ...],
    tags: tuple[str, ...],
    workspace: Path,
) -> Hit:
    """The hit of a record at a rank."""
    meta: dict[str, Any] = orjson.loads(record.meta)
    run_folder = _joined(workspace, record.run_folder)
    return Hit(
        rank=rank,
        id=record.id,
        text=record.text,
        snippet=shown,
        type=record.type,
        is_text=is_text(record.type),
        filename=record.filename,
        source_file=record.source_file,
        source_path=_inside(workspace, record.source_file),
        document_id=record.document_id,
        page=record.page,
        region_id=meta.get("region_id"),
        label=meta.get("label"),
        tags=tags,
        bbox_px=tuple(meta["bbox_px"]) if meta.get("bbox_px") is not None else None,
        page_size_px=tuple(meta["page_size_px"]) if meta.get("page_size_px") is not None else None,
        crop_path=_inside(run_folder, meta.get("crop")),
        page_image_path=_inside(run_folder, meta.get("page_image")),
        run_id=record.run_id,
        run_folder=run_folder,
        detector=meta.get("detector"),
        analyst=meta.get("analyst"),
        score=score,
        why=why,
        similar=similar,
    )


@lru_cache(maxsize=256)
def _joined(workspace: Path, folder: str) -> Path:
    return workspace / folder


@lru_cache(maxsize=8_192)
def _inside(folder: Path, relative: str | None) -> Path | None:
    """A path that a record names, absolute; None when it names none or one outside the folder it belongs to."""
    if not relative or "\0" in relative:
        return None
    path = os.path.normpath(os.path.join(folder, relative))  # noqa: PTH118
    return Path(path) if path.startswith(os.path.join(folder, "")) else None  # noqa: PTH118
