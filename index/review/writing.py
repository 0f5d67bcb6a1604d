"""Writing a review page: one file that holds everything, or a folder of pieces; whole, or not at all."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from index.errors import IndexProblem
from index.progress import Progress, Report
from index.review.html import Block, page_html
from index.review.pictures import all_as_webp

MAX_INLINE_BYTES = 400_000_000
"""Browsers refuse documents not much larger; a folder has no such bound."""


class PageTooLarge(IndexProblem):
    """The pages are too many for one file; the text says what to do."""


class OneFile:
    """Everything in one file; data waits beside it until the head, which comes first, is whole."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._draft = out.with_name(f".{out.name}.{os.getpid()}.part")
        self._data = out.with_name(f".{out.name}.{os.getpid()}.data")
        self._ids: list[tuple[str, str]] = []
        self.bytes = 0

    def begin(self) -> None:
        """Make room for a draft."""
        self._data.write_bytes(b"")

    def piece(self, number: int, text: str) -> None:
        """Take in the regions of some pages."""
        self._add(f"piece-{number}", "application/json", text.encode())

    def pictures(self, pictures: Sequence[tuple[str, Path]], report: Report) -> dict[str, str]:
        """Take in the pictures of all pages, each under its name in the page; returns what is wrong with some."""
        wrong = {}
        for number, data in enumerate(all_as_webp([path for _name, path in pictures])):
            name = pictures[number][0]
            if isinstance(data, OSError):
                wrong[name] = str(data)
            else:
                self._add(name, "text/plain", base64.b64encode(data))
            report(Progress("review", "Taking in pictures", number + 1, len(pictures), "pages"))
        return wrong

    def _add(self, name: str, media_type: str, data: bytes) -> None:
        self.bytes += len(data)
        if self.bytes > MAX_INLINE_BYTES:
            raise PageTooLarge(
                f"One file with all pages would be larger than {MAX_INLINE_BYTES // 1_000_000} MB: add --folder."
            )
        self._ids.append((name, media_type))
        with self._data.open("ab") as file:
            file.write(data + b"\n")

    def _blocks(self) -> Iterator[Block]:
        with self._data.open("rb") as file:
            for name, media_type in self._ids:
                yield Block(name, media_type, Markup(file.readline().decode().removesuffix("\n")))  # noqa: S704

    def end(self, head: Mapping[str, Any]) -> None:
        """Finish the page and put it in its place."""
        with self._draft.open("w", encoding="utf-8", newline="\n") as file:
            for part in page_html(head, self._blocks()):
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        self._data.unlink()
        self.bytes = self._draft.stat().st_size
        self._draft.replace(self._out)

    def give_up(self) -> None:
        """Leave nothing behind."""
        self._draft.unlink(missing_ok=True)
        self._data.unlink(missing_ok=True)


class PageFolder:
    """A folder that takes the place of an older one as a whole."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._draft = out.with_name(f".{out.name}.{os.getpid()}.part")
        self.bytes = 0

    def begin(self) -> None:
        """Make room for a draft."""
        shutil.rmtree(self._draft, ignore_errors=True)
        (self._draft / "pieces").mkdir(parents=True)
        (self._draft / "pages").mkdir()

    def piece(self, number: int, text: str) -> None:
        """Take in the regions of some pages."""
        self._write(self._draft / "pieces" / f"{number}.js", f"Review.pieces.arrived({number},{text});\n")

    def pictures(self, pictures: Sequence[tuple[str, Path]], report: Report) -> dict[str, str]:
        """Take in the pictures of all pages, each under its name in the page; returns what is wrong with some."""
        for number, (name, path) in enumerate(pictures):
            self.bytes += shutil.copyfile(path, self._draft / name).stat().st_size
            report(Progress("review", "Copying pictures", number + 1, len(pictures), "pages"))
        return {}

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text, "utf-8", newline="\n")
        self.bytes += path.stat().st_size

    def end(self, head: Mapping[str, Any]) -> None:
        """Finish the page and put it in its place."""
        self._write(self._draft / "index.html", "".join(page_html(head, iter(()))))
        old = self._out.with_name(f".{self._out.name}.{os.getpid()}.old")
        if self._out.exists():
            self._out.rename(old)
        self._draft.rename(self._out)
        shutil.rmtree(old, ignore_errors=True)

    def give_up(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self._draft, ignore_errors=True)
