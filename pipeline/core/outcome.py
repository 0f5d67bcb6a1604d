"""How the items of a run fared so far, how the run ends by that, and the report of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline.core.artifacts import ArtifactLog, ArtifactWriter
from pipeline.core.events import RunState
from pipeline.core.ledger import Result
from pipeline.core.manifest import Item
from pipeline.core.report import DocumentCoverage, FailedItem, RunReport

if TYPE_CHECKING:
    from pipeline.core.runner import LoadedRun, RunOptions

SCAN = "scan"
"""Name of the step that every pipeline begins with: what planning found about each item."""


class Outcomes:
    """How the items in scope ended, by stage; what stages handed on about them stays in the ledger."""

    def __init__(self, scope: Sequence[Item]) -> None:
        self.items = {item.item_id: item for item in scope}
        self.stages: dict[str, dict[str, float]] = {}
        """Stage → items by status and elapsed seconds, for the report."""
        self._statuses: dict[str, dict[str, str]] = {}
        """Stage → item id → status; only failures are kept with their reasons."""
        self._covered: dict[str, set[str]] = {}
        self._failed: dict[str, Result] = {}

    def add(self, result: Result) -> None:
        """Note how an item ended in a stage."""
        self._statuses.setdefault(result.stage, {})[result.item_id] = result.status
        if result.status == "failed":
            self._failed[result.item_id] = result.bare()

    def cover(self, stage: str, items: Sequence[Item]) -> None:
        """Note that a reduce stage took in these items."""
        self._covered[stage] = {item.item_id for item in items}

    @property
    def failed(self) -> int:
        """Items that failed in any stage."""
        return len(self._failed)

    def _passed(self, stage: str, item_id: str) -> bool:
        if stage in self._covered:
            return item_id in self._covered[stage]
        return self._statuses.get(stage, {}).get(item_id) == "ok"

    def split(self, requires: Sequence[str]) -> tuple[list[Item], list[Item]]:
        """(items that passed all of `requires`, the others), both in the manifest's order."""
        passed = {item_id for item_id in self.items if all(self._passed(stage, item_id) for stage in requires)}
        return (
            [item for item in self.items.values() if item.item_id in passed],
            [item for item in self.items.values() if item.item_id not in passed],
        )

    def counts(self, stages: Sequence[str]) -> dict[str, int]:
        """Items by how they ended: ok through all `stages`, failed, rejected, or open."""
        counts: Counter[str] = Counter()
        for item_id in self.items:
            rejected = any(statuses.get(item_id) == "rejected" for statuses in self._statuses.values())
            if item_id in self._failed:
                counts["failed"] += 1
            elif rejected:
                counts["rejected"] += 1
            elif all(self._passed(stage, item_id) for stage in stages):
                counts["ok"] += 1
            else:
                counts["open"] += 1
        return {word: counts[word] for word in ("ok", "failed", "rejected", "open")}

    def failures(self) -> list[FailedItem]:
        """Every failed item with its reason, in the manifest's order."""
        found = []
        for item in self.items.values():
            result = self._failed.get(item.item_id)
            if result is None or result.error is None:
                continue
            found.append(
                FailedItem(
                    item.source.path,
                    item.page,
                    item.item_id,
                    result.stage,
                    result.error.type,
                    result.error.message,
                    result.attempts,
                )
            )
        return found

    def coverage(self, stages: Mapping[str, str]) -> list[DocumentCoverage]:
        """Per document, how many items passed each stage (name → done-word)."""
        groups: dict[str, list[Item]] = {}
        for item in self.items.values():
            groups.setdefault(item.group, []).append(item)
        return [
            DocumentCoverage(
                group,
                items[0].source.path,
                len(items),
                {word: sum(self._passed(stage, item.item_id) for item in items) for stage, word in stages.items()},
            )
            for group, items in groups.items()
        ]


def final_state(
    run: LoadedRun, outcomes: Outcomes, crash: str | None, stopped: bool, options: RunOptions
) -> tuple[RunState, str]:
    """(state, sentence) in which a session ends."""
    noun = run.pipeline.noun
    counts = outcomes.counts([stage.name for stage in run.stages])
    total = len(run.scope)
    if crash is not None:
        return "failed", crash
    if counts["open"] and stopped:
        state: RunState = "cancelled" if run.folder.cancel_file.exists() else "interrupted"
        return state, f"stopped with {counts['open']} of {total} {noun}s still open; resume goes on from there"
    if counts["failed"]:
        return "incomplete", f"{counts['failed']} of {total} {noun}s failed; the report names each with its reason"
    if counts["open"]:
        return "failed", f"{counts['open']} of {total} {noun}s reached no end, which is a defect of the pipeline"
    if total < len(run.manifest) and options.limit is not None:
        return "incomplete", f"limited to the first {total} of {len(run.manifest)} {noun}s, all of them ok"
    rejected = f", {counts['rejected']} rejected" if counts["rejected"] else ""
    shard = f" of shard {options.shard[0]}/{options.shard[1]}" if options.shard else ""
    return "succeeded", f"all {total} {noun}s{shard} ok{rejected}"


def publish(run: LoadedRun, outcomes: Outcomes, state: RunState, message: str, artifacts: ArtifactLog) -> None:
    """Write the report in its three formats and list it."""
    report = RunReport(
        run.info.run_id, f"{run.pipeline.name}@{run.pipeline.version}", run.pipeline.means(run.params), state, message,
        run.pipeline.noun, len(run.scope),
        outcomes.coverage({stage.name: stage.done_word for stage in run.stages}), outcomes.failures(), outcomes.stages,
        run.pipeline.tables(run.folder.path, outcomes),
    )  # fmt: skip
    writer = ArtifactWriter(run.folder.path, "", "report", None)
    writer.write("report.json", report.to_json(), "report")
    writer.write("report.md", report.to_markdown(), "report")
    writer.write("report.html", report.to_html(), "report")
    writer.flush()
    artifacts.append(writer.written)
