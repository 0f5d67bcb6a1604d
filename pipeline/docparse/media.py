"""Telling what a file is by its first bytes; names are only hints for what a person expects."""

from __future__ import annotations

from pathlib import PurePosixPath

PDF = "application/pdf"
PNG = "image/png"
JPEG = "image/jpeg"
TIFF = "image/tiff"
UNKNOWN = "application/octet-stream"

HEAD_BYTES = 1024
"""How much of a file is enough: a PDF's marker may come anywhere in the first kilobyte."""

_BY_SUFFIX = {".pdf": PDF, ".png": PNG, ".jpg": JPEG, ".jpeg": JPEG, ".tif": TIFF, ".tiff": TIFF}


def recognise(head: bytes) -> str | None:
    """Media type of a file that starts with `head`, or None for one that docparse does not take."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")):
        return TIFF
    return PDF if b"%PDF-" in head else None


def promised(name: str) -> str | None:
    """Media type that a file's name promises, or None."""
    return _BY_SUFFIX.get(PurePosixPath(name).suffix.lower())
