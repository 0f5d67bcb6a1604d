"""Open a source in the operator's own viewer, at its page where the viewer can."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

_PDF_VIEWERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("okular", ("--page", "{page}")),
    ("evince", ("--page-label={page}",)),
    ("zathura", ("--page={page}",)),
    ("xreader", ("--page-label={page}",)),
    ("mupdf", ()),
)


REFUSAL_S = 0.7
"""An opener that has nothing to open a file with says so at once."""


class OpenError(Exception):
    """There is nothing to open, or nothing to open it with."""


def viewer_command(source: Path, page: int | None) -> tuple[list[str], bool] | None:
    """The command that opens `source`, and whether it goes to `page`; None when no viewer is installed."""
    if source.suffix.lower() == ".pdf" and page is not None:
        for viewer, options in _PDF_VIEWERS:
            if found := shutil.which(viewer):
                arguments = [option.format(page=page) for option in options]
                trailing = [str(page)] if viewer == "mupdf" else []
                return [found, *arguments, str(source), *trailing], True
    for opener in ("open",) if sys.platform == "darwin" else ("xdg-open", "gio"):
        if found := shutil.which(opener):
            return [found, *(["open"] if opener == "gio" else []), str(source)], False
    return None


def _refused(viewer: subprocess.Popen[bytes]) -> bool:
    """Whether it ended at once with an error; one that still runs is a viewer at work."""
    try:
        return viewer.wait(REFUSAL_S) != 0
    except subprocess.TimeoutExpired:
        return False


def open_at_page(source: Path | None, page: int | None, page_image: Path | None) -> str:
    """Open the source, or the page's picture when the source is gone; returns what was done, for the operator.

    Raises:
        OpenError: neither is there, or no viewer is installed.
    """
    return open_place(source, page, page_image)[1]


def open_place(source: Path | None, page: int | None, page_image: Path | None) -> tuple[str, str]:
    """As `open_at_page`; returns (the command line that was run, what was done).

    Raises:
        OpenError: neither is there, or no viewer is installed.
    """
    path = next((candidate for candidate in (source, page_image) if candidate is not None and candidate.exists()), None)
    if path is None:
        raise OpenError(f"neither the source nor the page's picture is here any more: {source or 'no source named'}")
    command = viewer_command(path, page if path == source else None)
    if command is None:
        raise OpenError(f"no viewer found (looked for okular, evince, zathura, xdg-open); open it yourself: {path}")
    argv, at_page = command
    viewer = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    if _refused(viewer):
        raise OpenError(f"{Path(argv[0]).name} could not open it; open it yourself: {path}")
    where = f" at page {page}" if at_page else (f"; go to page {page}" if page and path == source else "")
    return shlex.join(argv), f"opened {path.name}{where}"
