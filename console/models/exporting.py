"""A view's rows as files: csv for people, json for programs."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.screens.view import Listing

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of a formula; names of machines and documents come from others."""


def as_csv(listing: Listing) -> str:
    """The rows under their headings. A text that a spreadsheet would run as a formula has a quote before it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")  # RFC 4180; a lone \r inside a text is quoted then
    writer.writerow([_harmless(title) for title in listing.columns])
    writer.writerows([_harmless(value) for value in row] for row in listing.rows)
    return out.getvalue()


def as_json(listing: Listing) -> str:
    """A list of objects by column name; texts as they are."""
    rows = [dict(zip(listing.columns, row, strict=True)) for row in listing.rows]
    return json.dumps(rows, ensure_ascii=False, indent=1) + "\n"


def _harmless(value: str | float | int | None) -> str | float | int:
    if isinstance(value, str):
        text = value.replace("\x00", "")
        return f"'{text}" if text.startswith(FORMULA_STARTS) else text
    return "" if value is None else value


def write_listing(listing: Listing, folder: Path, at: float | None = None) -> tuple[Path, Path]:
    """Write both files, `NAME-TIME.csv` and `.json`; a name that is taken gets a number, nothing is overwritten.

    Args:
        listing: What is written.
        folder: Made when it is missing.
        at: Unix seconds for the name; now when left out.

    Returns:
        The csv and the json.

    Raises:
        OSError: they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.-]+", "-", listing.name).strip("-.") or "rows"
    stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(at))}"
    number = 1
    while any((folder / f"{stem}{ending}").exists() for ending in (".csv", ".json")):
        number += 1
        stem = f"{stem.partition('_')[0]}_{number}"
    paths = folder / f"{stem}.csv", folder / f"{stem}.json"
    for path, text in zip(paths, (as_csv(listing), as_json(listing)), strict=True):
        _write(path, text)
    return paths


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(path.suffix + ".part")
    with temporary.open("w", encoding="utf-8", errors="replace", newline="") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)
