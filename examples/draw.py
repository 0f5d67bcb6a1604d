"""Draws the example documents and writes down what was drawn where: `python examples/draw.py [--out DIR]`."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from drawing.book import Drawing
from drawing.ecosystem import ecosystem
from drawing.images import board, scan
from drawing.playbook import playbook
from drawing.report import report

DOCUMENTS: tuple[Callable[[], Drawing], ...] = (playbook, ecosystem, report, board, scan)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw every document into DIR/documents and the truth about them into DIR/ground_truth.json."""
    parser = argparse.ArgumentParser(description="Draw Spotter's example documents.")
    here = Path(__file__).resolve().parent
    parser.add_argument("--out", type=Path, default=here, metavar="DIR", help="folder to write to (default: examples)")
    out: Path = parser.parse_args(arguments).out
    folder = out / "documents"
    folder.mkdir(parents=True, exist_ok=True)
    drawings = [draw() for draw in DOCUMENTS]
    for drawing in drawings:
        _write(folder / drawing.name, drawing.data)
        print(f"{folder / drawing.name}  {len(drawing.pages)} pages  {len(drawing.data) / 1000:.0f} kB")
    _write(out / "ground_truth.json", ground_truth(drawings).encode())


def ground_truth(drawings: Sequence[Drawing]) -> str:
    """The regions of every page as JSON, one region a line; boxes are in points of the page as it is shown."""
    documents = []
    for drawing in drawings:
        pages = []
        for number, page in enumerate(drawing.pages, 1):
            head = {
                "page": number,
                "width_pt": page.width_pt,
                "height_pt": page.height_pt,
                "rotation": page.rotation,
            }
            regions = ",\n".join("    " + json.dumps(region.as_json(), ensure_ascii=False) for region in page.regions)
            pages.append(f'   {json.dumps(head)[:-1]}, "regions": [\n{regions}]}}')
        name = json.dumps(drawing.name, ensure_ascii=False)
        documents.append(f' {{"document": {name}, "pages": [\n' + ",\n".join(pages) + "]}")
    return '{"format": "spotter-ground-truth/1", "documents": [\n' + ",\n".join(documents) + "]}\n"


def _write(path: Path, data: bytes) -> None:
    """Replace a file at once: a reader sees the old one or the new one."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


if __name__ == "__main__":
    main()
