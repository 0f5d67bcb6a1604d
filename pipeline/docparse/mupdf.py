"""PyMuPDF, imported when first used and without the parts that docparse does not always use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
    """The `pymupdf` module with its layout model, which takes a second to load and then works in one thread.

    Raises:
        StageCrash: the model's package is not installed.
    """
    pymupdf = load()
    try:
        with _one_thread():
            importlib.import_module(_LAYOUT).activate()
    except ImportError as error:
        raise StageCrash(
            f"the layout detector needs PyMuPDF's layout model ({error}): python -m pip install pymupdf-layout"
        ) from error
    return pymupdf


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sessions of ONNX Runtime that are made meanwhile have one thread: as many workers as processors share those.

    The model's package makes its sessions with default options and takes no others; by default a session has a thread
    for every processor, and each waits for work by spinning.
    """
    onnxruntime: Any = importlib.import_module("onnxruntime")
    default = onnxruntime.SessionOptions

    def frugal() -> Any:
        options = default()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return options

    onnxruntime.SessionOptions = frugal
    try:
        yield
    finally:
        onnxruntime.SessionOptions = default
