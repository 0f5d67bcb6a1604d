"""The command about how good a run's regions are."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from console.commands.frame import Json, print_json, workspace


def quality(
    run: Annotated[str, typer.Option("--run", help="The run: its id or `last`, or a run folder.")],
    truth: Annotated[Path, typer.Option("--truth", help="Labelled pages as a COCO file.")],
    min_score: Annotated[
        float, typer.Option(help="Regions scored lower are not shown to a reader.", min=0, max=1)
    ] = 0.30,
    as_json: Json = False,
) -> int:
    """Compare a run's regions with your own labelled pages; what is measured of a workspace's run is kept."""
    from console.errors import WrongInput
    from console.models.quality_history import keep_regions
    from console.operations.runbook import Runbook
    from pipeline.core.errors import UsageError
    from pipeline.docparse.quality.evaluate import evaluate
    from pipeline.docparse.quality.labelled import found_in, read_labels
    from pipeline.docparse.quality.report import table

    here = None
    if run and Path(run).is_dir():
        folder = Path(run)
    else:
        here = workspace()
        folder = here.run_folder(Runbook(here).resolve(run).run_id)
    try:
        measured = evaluate(found_in(folder, read_labels(truth)), min_score)
    except UsageError as error:
        raise WrongInput(str(error)) from error
    if as_json:
        print_json(measured.to_json())
    else:
        print(table(measured))
    if here is not None:
        try:
            keep_regions(here.root, folder.name, measured.to_json(), time.time())
        except OSError as error:  # it was measured and said; only `spotter metrics` has it not
            print(f"spotter: not kept for `spotter metrics`: {error.strerror}: {error.filename}", file=sys.stderr)
    return 0
