"""Answers in the index view: the best passages for nothing, or a model's claims after a question about money."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from console.actions.action import Question
from console.language import _
from console.models.index_answer import Source
from console.models.index_pages import place_of
from console.screens.answer import AnswerPane
from console.screens.page_view import PageView
from console.screens.view import View
from console.words import usd

if TYPE_CHECKING:
    from pathlib import Path

    from console.settings import AnswersSettings
    from index.found import Hit, SearchResult

LOOK_S = 1.0
"""How often it is looked whether the model's answer has come."""
PATIENCE_S = 900.0


class Asking(View):
    """The part of the index view that asks and shows answers."""

    result: SearchResult | None
    _answers: AnswersSettings | None = None
    _awaited: Path | None = None
    """Where the answer of the question that was asked last will be written."""

    @property
    def query_text(self) -> str:
        """What stands in the query line."""
        raise NotImplementedError

    def read_settings(self) -> None:
        """Learn which model answers, for the question that is asked before it is."""
        if self.app.live and self._answers is None:
            self.in_background(lambda: self.app.session().settings.answers, self._know)

    def _know(self, settings: AnswersSettings) -> None:
        self._answers = settings

    def action_index_answer(self) -> None:
        """Show the best passages for the query; no model is asked."""
        if not (question := self.query_text.strip()):
            self.app.say(_("Type a question first."))
            return
        pane = AnswerPane(question, self.open_source_of)
        self.app.push_screen(pane)

        def ask() -> dict[str, Any] | str:
            from console.operations.answers import answer
            from console.operations.live_search import trouble

            try:
                return asdict(answer(self.app.session(), question, model=""))
            except Exception as error:  # noqa: BLE001 - the pane says why there is no answer
                return trouble(error)

        self.in_background(ask, lambda told: pane.fail(told) if isinstance(told, str) else pane.show(told))

    def question_index_ask(self, targets: tuple[str, ...]) -> Question | str:
        """What is asked before a model is; the query is the one of this moment."""
        question = self.query_text.strip()
        settings = self._answers
        if not question:
            return _("Type a question first.")
        if settings is None:
            return _("The settings are not read yet; try again.")
        if not settings.model:
            return _("No model is named ([answers] model in spotter.toml); a shows the best passages for nothing.")
        out = self.app.workspace.state / "answers" / f"{uuid4().hex}.json"
        return Question(
            title=_("Ask {model}?").format(model=settings.model),
            detail=_(
                "{question}\n\nUp to {passages} passages are sent to it, and it may cost up to {price}, "
                "where its prices are known. What it says is checked against them."
            ).format(question=question[:300], passages=settings.passages, price=usd(settings.max_usd)),
            verb=_("Ask"),
            commands=(("answer", "--out", str(out), "--", question),),
            note=_("answer: {question}").format(question=question[:60]),
            agreed=partial(self._wait_for, out, question),
        )

    def _wait_for(self, out: Path, question: str) -> None:
        """Show the answer when its file is there; asking again, leaving, or a command that failed forgets it."""
        until = self.app.now() + PATIENCE_S
        self._awaited = out

        def look() -> None:
            if self._awaited == out and self.app.now() < until:
                self.in_background(partial(_read, out), come)

        def come(told: dict[str, Any] | None) -> None:
            if self._awaited != out:
                return
            if told is None and not self._failed(out):
                self.set_timer(LOOK_S, look)
                return
            self._awaited = None
            if told is None:  # the shell has told how the command ended
                return
            pane = AnswerPane(question, self.open_source_of)
            self.app.push_screen(pane)
            pane.show(told)

        look()

    def _failed(self, out: Path) -> bool:
        """Whether the command that was to write an answer ended without one."""
        return any(entry.exit_code and out.stem in entry.line for entry in self.app.commands.entries)

    def open_source_of(self, source: Source) -> None:
        """Show the page of a citation."""
        hits = self.result.hits if self.result is not None else ()
        known = next((hit for hit in hits if hit.id == source.record_id), None)
        if known is not None:
            self._open_page(known)
            return

        def find() -> Hit | None:
            from console.operations.search import find_record

            return find_record(self.app.workspace, source.document, source.page, source.record_id)

        self.in_background(find, self._open_page)

    def _open_page(self, hit: Hit | None) -> None:
        place = place_of(hit, title=hit.filename or "") if hit is not None else None
        if place is None:
            self.app.say(_("This page's picture is not here any more."))
            return
        self.app.push_screen(PageView(place))


def _read(out: Path) -> dict[str, Any] | None:
    """An answer that came; its file was only the way here."""
    from console.operations.answers import read_answer

    told = read_answer(out)
    if told is not None:
        out.unlink(missing_ok=True)
    return told
