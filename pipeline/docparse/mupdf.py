"""PyMuPDF, imported when first used and without the parts that docparse does not always use."""

from __future__ import annotations

import importlib
import sys
from functools import cache
from typing import Any

from pipeline.core.errors import StageCrash

_LAYOUT = "pymupdf.layout"
_UNUSED = (_LAYOUT, "pymupdf4llm")
"""Imported by PyMuPDF when they can be, at a second of start-up a process; it takes their absence in its stride."""


@cache
def load() -> Any:
    """The `pymupdf` module, told to raise instead of printing MuPDF's complaints."""
    blocked = [name for name in _UNUSED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(blocked))  # type: ignore[arg-type]
    try:
        pymupdf = importlib.import_module("pymupdf")
    finally:
        for name in blocked:
            del sys.modules[name]
    pymupdf.TOOLS.mupdf_display_errors(False)
    pymupdf.TOOLS.mupdf_display_warnings(False)
    return pymupdf


@cache
def load_layout() -> Any:
    """The `pymupdf` module with its layout model, which takes a second to load.

    Raises:
        StageCrash: the model's package is not installed.
    """
    pymupdf = load()
    try:
        importlib.import_module(_LAYOUT).activate()
    except ImportError as error:
        raise StageCrash(
            f"the layout detector needs PyMuPDF's layout model ({error}): python -m pip install pymupdf-layout"
        ) from error
    return pymupdf
