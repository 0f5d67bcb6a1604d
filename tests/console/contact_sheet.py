"""Lays the snapshots of the console out on one picture a view, so that a person can look at each of them.

python -m tests.console.contact_sheet [--out FOLDER] [VIEW …]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import defaultdict
from html import escape
from pathlib import Path

from console.theme import DARK_NAMES, LIGHT_NAMES
from tests.console.screen_text import drawing
from tests.review.review_world import CHROMIUM

SNAPSHOTS = Path(__file__).parent / "__snapshots__" / "test_snapshots"
WIDTH_PX, HEIGHT_PX = 2600, 3400


def main() -> int:
    """Write `VIEW-LANGUAGE.png`, and an SVG a screen, for every view that is asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("views", nargs="*", help="names of views; all of them without any")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "contact-sheets")
    asked = parser.parse_args()
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(SNAPSHOTS.glob("*.txt")):
        view, spoken, _rest = path.stem.split("-", 2)
        if not asked.views or view in asked.views:
            groups[f"{view}-{spoken}"].append(path)
    asked.out.mkdir(parents=True, exist_ok=True)
    for name, pictures in groups.items():
        drawn = [draw(path, asked.out) for path in pictures]
        page = asked.out / f"{name}.html"
        page.write_text(sheet(drawn), encoding="utf-8")
        picture = page.with_suffix(".png")
        size = f"--window-size={WIDTH_PX},{HEIGHT_PX}"
        command = [CHROMIUM, "--headless", "--no-sandbox", "--hide-scrollbars", size, f"--screenshot={picture}"]
        subprocess.run([*command, page.as_uri()], check=True, capture_output=True, timeout=120)
        print(picture)
    return 0 if groups else 1


def draw(path: Path, folder: Path) -> Path:
    """One snapshot as an SVG in `folder`."""
    svg = folder / f"{path.stem}.svg"
    ground = LIGHT_NAMES if "-light-" in path.stem else DARK_NAMES
    svg.write_text(drawing(path.read_text("utf-8"), path.stem, ground), encoding="utf-8")
    return svg


def sheet(pictures: list[Path]) -> str:
    """A page: dark beside light, small above large."""
    cells = [
        f'<figure><figcaption>{escape(path.stem)}</figcaption><img src="{path.as_uri()}"></figure>'
        for path in sorted(pictures, key=lambda path: int(path.stem.rpartition("-")[2].partition("x")[0]))
    ]
    style = (
        "body{display:grid;grid-template-columns:1fr 1fr;gap:12px;margin:8px;font:14px monospace;background:#888}"
        "figure{margin:0}img{width:100%}"
    )
    return f"<!doctype html><meta charset=utf-8><style>{style}</style>{''.join(cells)}"


if __name__ == "__main__":
    sys.exit(main())
