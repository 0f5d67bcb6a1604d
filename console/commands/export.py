"""The command that writes a run's regions in the formats of other tools."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from console.commands.frame import Json, print_json, workspace
from console.words import count

FILES_SHOWN = 5
"""Docling has a file a document, and there may be thousands; `--json` names them all."""


def export(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run: its id, the beginning of it, or `last`.")],
    to: Annotated[str, typer.Option("--format", help="coco, label-studio, fiftyone or docling.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where to; default: out/exports/RUN/FORMAT.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Write what a run found for COCO tools, Label Studio, FiftyOne or Docling."""
    from console.operations.runbook import Runbook
    from pipeline.docparse.exports.write import export as write_export

    here = workspace()
    run = Runbook(here).resolve(run_id).run_id
    folder = out or here.root / "out" / "exports" / run / to
    done = write_export(here.run_folder(run), to, folder)
    if as_json:
        print_json(asdict(done))
    else:
        shown = ", ".join(done.files[:FILES_SHOWN])
        more = len(done.files) - FILES_SHOWN
        files = f"{shown} and {more} more" if more > 0 else shown
        print(f"{count(done.regions, 'region')} of {count(done.pages, 'page')} in {done.folder}: {files}")
        print(done.how)
    return 0
