"""An answer as entries of a list: claims with their citations, each of which opens its page; or the best passages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from console.language import _
from console.words import usd, visible

SHOWN_CHARACTERS = 400
"""Of a passage; its page shows the rest."""


@dataclass(frozen=True, slots=True)
class Source:
    """The record that a citation or a passage stands for."""

    record_id: str
    document: str | None
    page: int | None


@dataclass(frozen=True, slots=True)
class AnswerEntry:
    """One entry; with a source it can be opened."""

    text: Text
    source: Source | None = None


def entries(told: Mapping[str, Any]) -> list[AnswerEntry]:
    """The entries of an answer as `dataclasses.asdict` gives it, or as its file holds it.

    Only claims that passed every check stand as the answer; what did not is listed after them with what is wrong.
    """
    made: list[AnswerEntry] = []
    for claim in told["claims"]:
        made.append(AnswerEntry(Text.assemble(("• ", "bold green"), (visible(claim["text"]), "bold"))))
        made += [_citation(each) for each in claim["citations"]]
    if told["verdict"] == "passages":
        made += [_passage(each) for each in told["passages"]]
    if told["dropped"]:
        made.append(AnswerEntry(Text(_("Not supported, and no part of the answer:"), style="underline")))
    for claim in told["dropped"]:
        text = Text.assemble(("✗ ", "bold red"), visible(claim["text"]))
        made.append(AnswerEntry(text.append(f"\n  {visible('; '.join(claim['problems']))}", style="dim")))
    if told["missing"]:
        words = _("Not in the passages, says the model: {what}").format(what=visible(told["missing"]))
        made.append(AnswerEntry(Text(words)))
    return made


def foot(told: Mapping[str, Any]) -> str:
    """What happened, and what it cost."""
    cost = "" if told["usd"] is None else f" {usd(told['usd'])}"
    return f"{visible(told['note'])}{cost}"


def _citation(told: Mapping[str, Any]) -> AnswerEntry:
    text = Text.assemble(("   ", ""), (_where(told), "cyan"), "  “", visible(told["quote"]), "”")
    source = Source(told["record_id"], told["document"], told["page"]) if told["record_id"] else None
    return AnswerEntry(text, source)


def _passage(told: Mapping[str, Any]) -> AnswerEntry:
    words = " ".join(str(told["text"])[: 4 * SHOWN_CHARACTERS].split())
    short = words if len(words) <= SHOWN_CHARACTERS else words[: SHOWN_CHARACTERS - 1] + "…"
    text = Text.assemble((_where(told), "bold cyan"), "\n   ", visible(short))
    return AnswerEntry(text, Source(told["record_id"], told["document"], told["page"]))


def _where(told: Mapping[str, Any]) -> str:
    page = "" if told["page"] is None else _(", page {page}").format(page=told["page"])
    return f"[{told['number']}] {visible(told['document'] or '?')}{page}"


def plain(told: Mapping[str, Any]) -> str:
    """The whole answer as text, for the clipboard."""
    return "\n".join([*(entry.text.plain for entry in entries(told)), foot(told)])
