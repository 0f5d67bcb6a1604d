"""Tesseract's command line: what is installed, and the words of one picture (its TSV output)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core.child import die_with
from pipeline.core.errors import ItemError, RetryableError, UsageError
from pipeline.core.files import sha256_file
from pipeline.docparse.ocr_params import TesseractParams, debian_packages, unpackaged
from pipeline.docparse.words import Word

if TYPE_CHECKING:
    import numpy

BINARY = "tesseract"
_WORD_LEVEL = 5
"""Rows of Tesseract's TSV are pages (1), blocks, paragraphs, lines and words (5)."""
_ASK_S = 30.0
_NO_LANGUAGES = frozenset({"osd", "equ"})
"""What Tesseract lists among them: the data that tells which way up a page is, and that of formulas."""


class NotReadable(ItemError):
    """Tesseract cannot read this page."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What Tesseract reads in a picture."""

    words: Sequence[Word]
    """Boxes in the picture's pixels; a block is a paragraph."""
    unsure: int
    """How many words were left out because Tesseract itself doubts them."""


def installed(languages: Sequence[str]) -> Mapping[str, Any]:
    """{"tesseract": its version, "languages": {name: sha256 of its data}}.

    Raises:
        UsageError: the program or a language is missing; the sentence names the command that installs it.
    """
    return _installed(tuple(languages), os.environ.get("PATH", ""), os.environ.get("TESSDATA_PREFIX", ""))


@lru_cache(maxsize=4)
def _installed(languages: tuple[str, ...], search_path: str, _data_folder: str) -> Mapping[str, Any]:
    binary = shutil.which(BINARY, path=search_path)
    if binary is None:
        needed = " ".join(debian_packages(languages))
        raise UsageError(f"ocr needs Tesseract, which is not installed here: apt-get install {needed}")
    told = _ask(binary, "--version")
    listed = _ask(binary, "--list-langs")
    known = set(listed.splitlines()[1:])
    where = re.search(r'"(.+)"', listed.splitlines()[0])
    folder = Path(where[1] if where else ".")
    missing = [language for language in languages if language not in known]
    if missing:
        names = " and ".join(repr(language) for language in missing)
        there = ", ".join(sorted(known - _NO_LANGUAGES)) or "none"
        raise UsageError(f"Tesseract has no data for {names} here, only for {there}: {_how_to_get(missing, folder)}")
    return {
        "tesseract": told.split("\n", 1)[0].removeprefix("tesseract").strip(),
        "languages": {language: _digest(folder / f"{language}.traineddata") for language in languages},
    }


def _how_to_get(missing: Sequence[str], folder: Path) -> str:
    strange = unpackaged(missing)
    if strange is None:
        return f"apt-get install {' '.join(debian_packages(missing)[1:])}"
    return f"{strange}; mend ocr.languages, or put such data into {folder}"


def _ask(binary: str, question: str) -> str:
    try:
        done = subprocess.run([binary, question], capture_output=True, text=True, timeout=_ASK_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise UsageError(
            f"{binary} {question} does not work ({error}): apt-get install --reinstall tesseract-ocr"
        ) from error
    return (done.stdout or done.stderr).strip()


def _digest(file: Path) -> str:
    return sha256_file(file) if file.exists() else ""


def read_words(grey: numpy.ndarray[Any, Any], dpi: int | None, params: TesseractParams) -> Reading:
    """Read a picture: uint8, (height, width), in one process with one thread.

    On Linux that process ends with this one, however this one ends. Call it from a thread that lives on: Linux takes
    the end of the thread that started a process for the end of its parent.

    Raises:
        NotReadable: Tesseract refuses it or takes too long.
        RetryableError: Tesseract was killed.
    """
    height, width = grey.shape
    command = [BINARY, "stdin", "stdout", "-l", "+".join(params.languages), "--psm", str(params.layout)]
    command += ["--dpi", str(dpi)] if dpi else []
    try:
        done = subprocess.run(
            [*command, "tsv"], input=b"P5\n%d %d\n255\n" % (width, height) + grey.tobytes(), capture_output=True,
            timeout=params.timeout_s, env=os.environ | {"OMP_THREAD_LIMIT": "1"}, check=False,
            preexec_fn=partial(die_with, os.getpid()),  # what asks for it survives the change of program
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise NotReadable(
            f"Tesseract takes longer than {params.timeout_s:g} s for the page: raise ocr.timeout_s or lower ocr.dpi"
        ) from None
    if done.returncode < 0:
        raise RetryableError(f"Tesseract was killed by signal {-done.returncode}")
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        said = lines[-1] if lines else f"exit code {done.returncode}"
        raise NotReadable(f"Tesseract cannot read the page ({said})")
    return parse(done.stdout.decode("utf-8", "replace"), params.min_confidence)


def parse(tsv: str, min_confidence: float) -> Reading:
    """Words of Tesseract's TSV: level, page, block, paragraph, line, word, left, top, width, height, conf, text."""
    words: list[Word] = []
    paragraphs: dict[tuple[str, str], int] = {}
    unsure = 0
    for row in tsv.splitlines()[1:]:
        cells = row.split("\t")
        if len(cells) < 12 or int(cells[0]) != _WORD_LEVEL or not cells[11].strip():
            continue
        confidence = float(cells[10]) / 100
        if confidence < min_confidence:
            unsure += 1
            continue
        left, top, width, height = (float(cell) for cell in cells[6:10])
        block = paragraphs.setdefault((cells[2], cells[3]), len(paragraphs))
        box = (left, top, left + width, top + height)
        words.append(Word(cells[11].strip(), box, block, int(cells[4]) - 1, confidence))
    return Reading(words, unsure)
