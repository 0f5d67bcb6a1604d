"""The report of a run: how every document fared, and every failure with its reason."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class DocumentCoverage:
    """One document: how many of its items each stage took through."""

    group: str
    source: str
    items: int
    through: Mapping[str, int]
    """Done-word of a stage → items."""


@dataclass(frozen=True, slots=True)
class FailedItem:
    """One item that did not make it."""

    source: str
    page: int | None
    item: str
    stage: str
    error_type: str
    message: str
    attempts: int

    @property
    def where(self) -> str:
        """The source, and the page where there is one."""
        return self.source if self.page is None else f"{self.source}, page {self.page}"


@dataclass(frozen=True, slots=True)
class ReportTable:
    """Something that a pipeline tells of its own in the report."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str | int, ...], ...]
    """One cell a column; a number that is zero stands out."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did, in a form that three formats are written from."""

    run_id: str
    pipeline: str
    means: str
    state: str
    message: str
    noun: str
    items: int
    documents: Sequence[DocumentCoverage]
    failures: Sequence[FailedItem]
    stages: Mapping[str, Mapping[str, float]]
    """Stage → items by status, and elapsed_s of this session."""
    tables: Sequence[ReportTable] = ()

    def to_json(self) -> bytes:
        """The report as indented JSON."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2) + b"\n"

    def to_markdown(self) -> bytes:
        """The report as Markdown."""
        columns = self._columns()
        lines = [
            f"# Run {self.run_id}", "", f"{self.pipeline} · {_md(self.means)}", "",
            f"**{self.state}**: {_md(self.message)}", "", "## Documents", "",
            f"| document | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}",
        ]  # fmt: skip
        lines += [f"| {_md(doc.source)} | {' | '.join(map(_md_cell, self._cells(doc)))} |" for doc in self.documents]
        for table in self.tables:
            lines += ["", f"## {table.title}", "", f"| {' | '.join(table.head)} |"]
            lines += [f"|---|{'---:|' * (len(table.head) - 1)}"]
            lines += [f"| {' | '.join(map(_md_cell, row))} |" for row in table.rows]
        if self.failures:
            lines += ["", "## Failures", "", "| what | stage | attempts | reason |", "|---|---|---:|---|"]
            lines += [
                f"| {_md(failed.where)} | {failed.stage} | {failed.attempts} | {_md(failed.message)} |"
                for failed in self.failures
            ]
        lines += ["", "## Stages", "", "| stage | ok | failed | skipped | seconds |", "|---|---:|---:|---:|---:|"]
        lines += [f"| {name} | {' | '.join(self._stage_cells(counts))} |" for name, counts in self.stages.items()]
        return ("\n".join(lines) + "\n").encode()

    def to_html(self) -> bytes:
        """The report as one HTML page without scripts or outside files."""
        documents: list[list[str | int]] = [[doc.source, *self._cells(doc)] for doc in self.documents]
        failures = [[failed.where, failed.stage, str(failed.attempts), failed.message] for failed in self.failures]
        stages = [[name, *self._stage_cells(counts)] for name, counts in self.stages.items()]
        body = [
            f"<h1>Run {html.escape(self.run_id)}</h1>",
            f"<p>{html.escape(self.pipeline)} · {html.escape(self.means)}</p>",
            f"<p><b class={self.state}>{self.state}</b>: {html.escape(self.message)}</p>",
            "<h2>Documents</h2>", _table(["document", *self._columns()], documents),
        ]  # fmt: skip
        for table in self.tables:
            body += [f"<h2>{html.escape(table.title)}</h2>", _table(table.head, table.rows)]
        if failures:
            body += ["<h2>Failures</h2>", _table(["what", "stage", "attempts", "reason"], failures)]
        body += ["<h2>Stages</h2>", _table(["stage", "ok", "failed", "skipped", "seconds"], stages)]
        return (_PAGE.format(title=html.escape(self.run_id), body="\n".join(body))).encode()

    def _columns(self) -> list[str]:
        words = list(self.documents[0].through) if self.documents else []
        return [f"{self.noun}s", *words]

    def _cells(self, document: DocumentCoverage) -> list[int]:
        return [document.items, *document.through.values()]

    @staticmethod
    def _stage_cells(counts: Mapping[str, Any]) -> list[str]:
        return [str(counts["ok"]), str(counts["failed"]), str(counts["skipped"]), f"{counts['elapsed_s']:.1f}"]


def _md(text: str) -> str:
    """Text that keeps to its table cell: file names may hold pipes, newlines and markup."""
    flat = " ".join(text.split())
    for mark in "\\`*_[]<>|":
        flat = flat.replace(mark, f"\\{mark}")
    return flat


def _md_cell(cell: str | int) -> str:
    return _md(cell) if isinstance(cell, str) else f"**{cell}**" if cell == 0 else str(cell)


def _table(head: Sequence[str], rows: Sequence[Sequence[str | int]]) -> str:
    def cell_of(cell: str | int) -> str:
        return "<td class=zero>0</td>" if cell == 0 else f"<td>{html.escape(str(cell))}</td>"

    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = ["".join(map(cell_of, row)) for row in rows]
    return f"<table>\n<tr>{top}</tr>\n" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "\n</table>"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Run {title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2333 }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #d8dce6 }}
.succeeded {{ color: #18794e }} .failed {{ color: #c62a2f }}
.zero {{ color: #ad5700; font-weight: bold }}
.incomplete, .interrupted, .cancelled {{ color: #ad5700 }}
</style></head><body>
{body}
</body></html>
"""
