"""The demo: the main job on the project's own documents, in a workspace of its own, on an emulated machine."""

from __future__ import annotations

import shutil
import sys
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.operations.events import OperationEvent, Report
from console.operations.plan import plan
from console.operations.run import drive
from console.operations.search import SearchRequest, search
from console.operations.session import Session, open_session
from console.workspace import Workspace, create_workspace

if TYPE_CHECKING:
    from console.operations.runbook import RunEntry
    from index.search import SearchResult

DEMO_PHASES = (
    "Demo: plan → rent → bootstrap → push → parse → pull → destroy → index. The machine is EMULATED on this one."
)
HITS = 3


class DemoUnavailable(Exception):
    """The documents that the demo parses are not there."""


@dataclass(frozen=True, slots=True)
class DemoOutcome:
    """What the demo came to."""

    session: Session
    entry: RunEntry
    results: tuple[SearchResult, ...]

    def hits_as_data(self) -> list[dict[str, Any]]:
        """Queries and their hits, for `--json`."""
        return [{"query": result.query, "hits": [asdict(hit) for hit in result.hits]} for result in self.results]


def examples_folder() -> Path:
    """Where the project's own documents are: in the checkout that this runs from, or where the wheel put them.

    Raises:
        DemoUnavailable: nowhere.
    """
    checkout = Path(str(resources.files("console"))).parent / "examples"
    installed = Path(sys.prefix) / "share" / "spotter" / "examples"
    for folder in (checkout, installed):
        if (folder / "queries.txt").is_file():
            return folder
    raise DemoUnavailable(
        "the demo's documents are missing from this installation: install Spotter anew, or run it from a checkout"
    )


def _lay_out(directory: Path, examples: Path) -> Workspace:
    workspace, _ = create_workspace(directory)
    for source in sorted((examples / "documents").iterdir()):
        target = workspace.data / source.name
        if not target.exists() or target.read_bytes() != source.read_bytes():
            shutil.copyfile(source, target)
    return workspace


def run_demo(directory: Path, report: Report) -> DemoOutcome:
    """Do the main job in `directory`; done before, nothing is done again. The emulated marketplace is then stopped.

    Raises:
        DemoUnavailable: the project's documents are missing.
    """
    examples = examples_folder()
    session = open_session(_lay_out(directory, examples))
    if not session.emulated:
        raise DemoUnavailable(
            f'{session.workspace.settings_file} names a cloud that costs money; the demo wants cloud.name = "local"'
        )
    try:
        planned = plan(session, report=report)
        done = planned.known and planned.entry.phase == "done" and planned.entry.state == "succeeded"
        if done:
            report(OperationEvent("run", "finished", f"run {planned.entry.run_id} has done all of it: nothing to do"))
        entry = drive(session, planned.entry.run_id, report)
    finally:
        session.stop_local_cloud()
    queries = (examples / "queries.txt").read_text("utf-8").strip().splitlines()
    results = (
        tuple(search(session.workspace, SearchRequest(query, k=HITS)) for query in queries)
        if entry.state == "succeeded"
        else ()
    )
    return DemoOutcome(session, entry, results)


def print_hits(outcome: DemoOutcome) -> int:
    """The top hits of each query as plain lines; exit code 1 if a query found nothing."""
    from console.models.hits import place

    for result in outcome.results:
        print(f"\n? {result.query}")
        for hit in result.hits:
            print(f"  {hit.rank}. {place(hit)}  [{hit.type}]  {hit.snippet.text}")
    root = outcome.session.workspace.root
    print(f"\nThe workspace is {root}: `spotter -C {root}` opens the console on it.")
    return 0 if all(result.hits for result in outcome.results) else 1
