"""From a hit to what made it: its document, region and run, the log and the measurements of that second."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from console.language import _
from console.models.index_pages import place_of
from console.models.jumps import Moment, moment_of
from console.screens.page_view import open_place, open_source
from console.screens.view import View

if TYPE_CHECKING:
    from index.found import Hit


class Jumping(View):
    """The part of the index view that leads to other views."""

    def marked(self) -> Hit | None:
        """The hit under the mark."""
        raise NotImplementedError

    def action_index_run(self) -> None:
        """The run that made it."""
        if (hit := self.marked()) is not None:
            self.app.go("run", hit.run_id)

    def action_index_open(self) -> None:
        """Open the document at its page."""
        hit = self.marked()
        if hit is None:
            return
        place = place_of(hit)
        if place is not None:
            open_place(self.app, place)
        else:
            self.in_background(partial(open_source, hit.source_path, hit.page), self._opened_source)

    def _opened_source(self, answer: tuple[str, str]) -> None:
        line, words = answer
        if line:
            self.app.log_command(line, words)
        self.app.say(words)

    def action_index_region(self) -> None:
        """Its region, in the review of its run."""
        hit = self.marked()
        if hit is None:
            return
        if hit.region_id is None:
            self.app.say(_("This record is of no region: it is the document's own text."))
            return
        self.app.go("review", f"{hit.run_id} region:{hit.region_id}")

    def action_index_log(self) -> None:
        """The log of its run at that second."""
        self._at_its_second("log")

    def action_index_chart(self) -> None:
        """What was measured at that second."""
        self._at_its_second("metrics")

    def _at_its_second(self, view: str) -> None:
        hit = self.marked()
        if hit is None:
            return

        def ask() -> Moment | None:
            return moment_of(hit.run_folder, hit.document_id, hit.page, hit.type)

        def then(moment: Moment | None) -> None:
            if moment is None:
                self.app.say(_("The run's events tell nothing of this page; its log is shown from the end."))
                self.app.go(view, hit.run_id)
                return
            self.app.go(view, moment.argument)
            self.app.say(_("{stage} was done with this page then").format(stage=moment.stage))

        self.in_background(ask, then)
