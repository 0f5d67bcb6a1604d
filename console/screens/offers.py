"""Offers: what could be rented now, with the price that will really be billed, and what we know of each host."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Input, Static

from console.actions.action import Action, Question
from console.language import _, ngettext
from console.models.fleet import FleetView
from console.models.offer_news import Change, OfferNews, PricedOffer, changes_since, good_news
from console.models.offer_terms import TermsError, parse_terms, price_in, price_typed, with_price
from console.screens.offer_rows import COLUMNS, comparison, offer_details, offer_row, offers_note, rent_detail
from console.screens.view import Copyable, PolledView
from console.widgets.field import Field
from console.widgets.keyed_table import KeyedTable
from console.words import visible

FRESH_S = 600.0
"""An answer younger than this is not asked for again by coming back: the market counts searches by the day."""
LEAST_LOOK_S = 10.0
"""Between two looks of the watch, whatever the market allows."""


class Offers(PolledView[OfferNews]):
    """The market: asked when the view is opened, on `r`, with other terms, and again and again while `w` watches."""

    NAME = "offers"
    POLL_S = 0

    def __init__(self) -> None:
        super().__init__()
        self.market = KeyedTable(COLUMNS, id="offers-table")
        """The list of offers."""
        hint = _("dearest hour with the disk, as 0.60; empty lifts the cap")
        self._cap_field = Field(placeholder=hint, id="offers-cap")
        self._cap_field.display = False
        self._side = Static("", id="offers-side", markup=False)
        self._asked = ""
        self._answered: str | None = None
        """The terms of the last question."""
        self._forced = False
        self._tried_at: float | None = None
        self.shown: OfferNews | None = None
        """What is on screen: the last good answer, with what the watch saw change."""
        self.watching = False
        self._next_look: float | None = None

    def compose_main(self) -> ComposeResult:
        """The list, and a field for the price cap."""
        yield self.market
        yield self._cap_field

    def compose_side(self) -> ComposeResult:
        """What the work costs on the marked offer; several marked ones beside each other."""
        yield self._side

    def on_mount(self) -> None:
        """Ages grow and looks come due without anybody asking."""
        self.market.show([], _("searching the market …"))
        self.set_interval(1.0, self._tick)

    @property
    def crumbs(self) -> tuple[str, ...]:
        """What is asked."""
        if self.news is not None and self._answered == self._asked:
            return (" ".join((self.news.profile, *self.news.terms.words)),)
        return (self._asked,) if self._asked else ()

    def open(self, argument: str) -> None:
        """Ask on other terms: `B gpu=4090 n=1 <0.6`."""
        super().open(argument)
        self._ask(argument)

    # ---- asking ----

    def _ask(self, terms: str) -> None:
        self._asked = " ".join(terms.split())
        if self._due():
            self.market.put_note(_("searching the market …"))
        self.poll()

    def _due(self) -> bool:
        """Whether what is shown is not what is asked for, or is old."""
        if self._answered != self._asked:
            return True
        return self._tried_at is None or self.app.now() - self._tried_at > FRESH_S

    def poll(self) -> None:
        """Ask where that is worth one of the day's searches."""
        if not (self._forced or self._due()):
            return
        if self.app.live and not self._asking:
            self._forced = False
            self._tried_at, self._answered = self.app.now(), self._asked
        super().poll()

    def refresh_news(self) -> None:
        """Ask now, whatever it costs."""
        self._forced = True
        self.market.put_note(_("searching the market …"))
        self.poll()

    def read(self) -> OfferNews:
        """Ask the market."""
        from console.operations.offer_look import look_at_market

        session = self.app.session()
        return look_at_market(session, parse_terms(self._answered or "", sorted(session.settings.profiles)))

    def show(self, news: OfferNews) -> None:
        """Draw an answer; while the market is watched, say what came and what got cheaper."""
        before = self.shown
        changes: dict[str, Change] = {}
        if self.watching and before is not None and (before.profile, before.terms) == (news.profile, news.terms):
            changes, good = changes_since(before, news, before.changes)
            if good:
                cap = price_in(self._asked)
                near = [each for each in news.offers if each.key in good and (cap is None or each.usd_per_hour <= cap)]
                if words := good_news(near, changes):
                    self.app.ring(_("Market"), words)
        self.shown = self.news = replace(news, changes=changes)
        self._plan_look()
        self._draw()

    def show_stale(self, reason: str) -> None:
        """The rows stay, dim, under the reason."""
        self._plan_look()
        self._draw()
        self.app.tell(reason, "warning")

    # ---- drawing ----

    def _offers(self) -> tuple[PricedOffer, ...]:
        """Those below the price cap."""
        if self.shown is None:
            return ()
        cap = price_in(self._asked)
        return tuple(each for each in self.shown.offers if cap is None or each.usd_per_hour <= cap + 1e-9)

    def _draw(self) -> None:
        if self.shown is None:
            self.market.show([], _("NO ANSWER: {reason}").format(reason=visible(self.stale)) if self.stale else "")
        else:
            self.market.leave_out(*(() if self.shown.changes else ("news",)))
            rows = [offer_row(each, self.shown, stale=bool(self.stale)) for each in self._offers()]
            self.market.show(rows, self._note())
        self._draw_side()

    def _note(self) -> str:
        assert self.shown is not None
        age_s = self.app.now() - self.heard_at if self.heard_at is not None else 0.0
        left_s = self._next_look - self.app.now() if self.watching and self._next_look is not None else None
        return offers_note(self.shown, len(self._offers()), age_s, stale=self.stale, watching_s=left_s)

    def _tick(self) -> None:
        """The age grows; a look of the watch comes due, seen or unseen."""
        if self.shown is not None and self.app.view is self and not self._asking:
            self.market.put_note(self._note())
        due = self.watching and self._next_look is not None and self.app.now() >= self._next_look
        if due and not self.app.paused and not self._asking:
            self._next_look = None
            self._forced = True
            self.poll()

    def _draw_side(self) -> None:
        side = self._side
        if self.shown is None:
            side.update(Text(visible(self.stale)))
            return
        width = max(40, side.size.width)
        if not self.shown.offers:
            side.update(Text(visible(self.shown.explanation)))
            return
        marked = [each for key in self.market.targets() if (each := self.shown.offer(key)) is not None]
        if len(marked) > 1:
            side.update(comparison(marked, self.shown, width))
        else:
            priced = self.shown.offer(self.market.cursor_key)
            side.update(offer_details(priced, self.shown) if priced is not None else Text(""))

    def on_keyed_table_highlighted(self) -> None:
        """The side pane follows the cursor."""
        self._draw_side()

    def on_keyed_table_marked(self) -> None:
        """Marked offers are compared."""
        self._draw_side()

    def on_keyed_table_opened(self) -> None:
        """Where the screen has no room for the side pane, enter brings it."""
        if self.app.screen.has_class("-single"):
            self.app.action_everywhere_side()

    # ---- actions ----

    @property
    def _nothing_to_rent(self) -> str:
        """Why there is no offer: an answer that has not come says nothing of the market."""
        if self._asking:
            return _("The market is being searched.")
        if self.shown is None:
            return _("The market has not answered: r asks it again.")
        return _("There is no offer to rent: r asks the market.")

    def refusal(self, action: Action) -> str:
        """Without an offer there is nothing to rent."""
        if action.id == "offers.rent" and not self.market.targets():
            return self._nothing_to_rent
        return ""

    def copies(self) -> Sequence[Copyable]:
        """The offer, its machine, and how it is rented from a shell."""
        priced = self.shown.offer(self.market.cursor_key) if self.shown is not None else None
        if priced is None or self.shown is None:
            return ()
        return (
            Copyable(_("offer number"), priced.key),
            Copyable(_("machine"), str(priced.offer.machine_id)),
            Copyable(_("command that rents it"), "spotter " + " ".join(_rent_command(priced, self.shown)[:-1])),
        )

    def action_offers_watch(self) -> None:
        """Look again and again, or stop that. It never rents."""
        self.watching = not self.watching
        if self.watching:
            self._plan_look()
            self.app.say(_("The market is watched; what comes or gets cheaper rings. Nothing is rented by itself."))
        else:
            self._next_look = None
            if self.shown is not None:
                self.shown = replace(self.shown, changes={})
            self.app.say(_("The market is not watched any more."))
        self._draw()

    def _plan_look(self) -> None:
        """When the watch looks next."""
        least_s, every_s = FRESH_S, 0.0
        if self.shown is not None:
            least_s, every_s = self.shown.least_interval_s, self.shown.terms.every_s or 0.0
        self._next_look = self.app.now() + max(LEAST_LOOK_S, least_s, every_s) if self.watching else None

    def action_offers_cap(self) -> None:
        """Type the dearest price."""
        field = self._cap_field
        cap = price_in(self._asked)
        field.value = f"{cap:g}" if cap is not None else ""
        field.display = True
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the price cap: what is dearer goes at once, and the market is asked on the new terms."""
        event.stop()
        try:
            cap = price_typed(event.value)
        except TermsError as error:
            self.app.tell(str(error), "warning")
            return
        self._close_cap()
        self._ask(with_price(self._asked, cap))
        self.argument = self._asked
        self._draw()

    def _close_cap(self) -> None:
        self._cap_field.display = False
        self.market.focus_rows()

    def focus_main(self) -> None:
        """Keys go to the field while it is open."""
        if self._cap_field.display:
            self._cap_field.focus()
        else:
            super().focus_main()

    def step_out(self) -> bool:
        """Close the field of the price cap first."""
        if self._cap_field.display:
            self._close_cap()
            return True
        return super().step_out()

    def question_offers_rent(self, targets: tuple[str, ...]) -> Question | str:
        """What renting the marked offer means, at the price that is on screen now."""
        if self.shown is None or not targets:
            return self._nothing_to_rent
        if len(targets) > 1:
            marked = _("{n} offers are marked to be compared; R rents one: esc clears the marks.")
            return marked.format(n=len(targets))
        priced = self.shown.offer(targets[0])
        if priced is None:
            return _("Offer {id} is not on the market any more.").format(id=targets[0])
        lines = [rent_detail(priced, self.shown, _agreed(priced)), *self._doubts()]
        return Question(
            title=_("Rent offer {id}?").format(id=priced.key),
            detail="\n".join(lines),
            verb=_("Rent"),
            commands=(_rent_command(priced, self.shown),),
            note=_("rent offer {id}").format(id=priced.key),
            then="fleet",
        )

    def _doubts(self) -> list[str]:
        """What speaks against renting anything now: old prices, a fleet that nobody can see."""
        doubts = []
        age_s = self.app.now() - self.heard_at if self.heard_at is not None else 0.0
        if self.stale or age_s > FRESH_S:
            minutes = max(1, round(age_s / 60))
            old = ngettext("! These prices are {n} minute old.", "! These prices are {n} minutes old.", minutes)
            doubts.append(old.format(n=minutes))
        for fleet in self.app.screen_stack[0].query("#fleet"):
            news = fleet.news if isinstance(fleet, PolledView) else None
            if isinstance(news, FleetView) and news.error:
                since = time.strftime("%H:%M", time.localtime(news.heard_at)) if news.heard_at else "–"
                doubt = _("! What is rented already cannot be seen since {since}: {reason}")
                doubts.append(doubt.format(since=since, reason=visible(news.error)))
        return doubts


def _agreed(priced: PricedOffer) -> float:
    """The price on screen as a limit: rounded up to a hundredth of a cent, so that it does not refuse itself."""
    return math.ceil(priced.usd_per_hour * 1e4 - 1e-6) / 1e4


def _rent_command(priced: PricedOffer, news: OfferNews) -> tuple[str, ...]:
    """The command that rents just this, at no more than this."""
    command = ["rent", priced.key, "--profile", news.profile]
    if news.terms.gpu_count is not None:
        command += ["--count", str(news.terms.gpu_count)]
    if news.terms.disk_gb is not None:
        command += ["--disk", f"{news.terms.disk_gb:g}"]
    return (*command, "--max-usd-per-hour", f"{_agreed(priced):.4f}", "--yes")
