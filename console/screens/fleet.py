"""Fleet: what is rented, how it does, what it costs, and what the machines themselves will do about it."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from console.actions.action import Action, Question
from console.actions.registry import action_called
from console.asking import reason_of
from console.language import _
from console.models.burn import burn_words
from console.models.fleet import FleetView, InstanceView
from console.models.fleet_changes import alerts
from console.models.fleet_words import empty_words, fleet_note
from console.models.recorder_fleet import to_sample
from console.models.stuck import stuck_of
from console.models.under_way import under_way
from console.screens.fleet_guard import DEFAULT_HOURS, GuardPanel, LabelField
from console.screens.fleet_questions import (
    chosen,
    destroy_question,
    extend_question,
    rerent_question,
    stop_question,
)
from console.screens.fleet_rows import COLUMNS, fleet_row, instance_card, money_lines
from console.screens.view import Copyable, PolledView
from console.widgets.burn_line import TopLine
from console.widgets.keyed_table import KeyedTable

if TYPE_CHECKING:
    from console.models.fleet_facts import FleetFacts

DRAW_S = 1.0
"""How often ages and countdowns move on."""
ROW_ACTIONS = frozenset({"open", "shell", "run", "log", "sync", "services", "guard", "label"})
"""What is about one row, and changes nothing outside the console."""


class FleetSilent(Exception):
    """Nobody answered, or not believably: the text says why."""


class Fleet(PolledView[FleetView]):
    """The instances, asked for anew a few seconds after each answer, also while another view is on screen: the top
    line's money and the bell depend on it."""

    NAME: ClassVar[str] = "fleet"
    POLL_S: ClassVar[float] = 5.0
    POLL_HIDDEN: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.extension_h = DEFAULT_HOURS
        """Hours that `Prolong` adds."""
        self._facts: FleetFacts | None = None
        self._silent: FleetView | None = None
        self._wanted = ""
        self._card = Text()
        self._not_kept = ""
        self._named: set[tuple[int, tuple[str, ...]]] | None = None
        """Of what `ssh` knows; None before it was told anything."""

    def compose_main(self) -> ComposeResult:
        """Money, and the instances."""
        yield Static(Text(), id="fleet-money", markup=False)
        yield KeyedTable(COLUMNS, id="fleet-table")

    def compose_side(self) -> ComposeResult:
        """The marked instance in words."""
        yield Static(Text(), id="fleet-card", markup=False)

    def on_mount(self) -> None:
        """Ask, and let ages and countdowns run."""
        self.set_interval(DRAW_S, self._draw)

    # ---- asking ----

    def read(self) -> FleetView:
        """The cloud and what is known here.

        Raises:
            FleetSilent: nobody answered; what is known all the same is drawn as stale.
        """
        from console.models.fleet import last_known, read_fleet
        from console.models.fleet_facts import FleetFacts

        session = self.app.session()
        if self._facts is None:
            self._facts = FleetFacts(session)
        before = self.news
        try:
            view = read_fleet(session, before, self._facts)
        except Exception as error:
            reason = str(error) or type(error).__name__
            held = before.instances if before is not None else ()
            self._silent = last_known(before or FleetView(), held, reason, session.clock.time())
            raise
        if view.error is not None:
            self._silent = view
            raise FleetSilent(view.error)
        return view

    def _keep_names(self, view: FleetView) -> str:
        """Instances came, went or moved: what `ssh` knows of them follows, where that is installed.

        Returns why it does not; money is shown all the same.
        """
        from console.operations.ssh_config import refresh
        from remote.cloud import CloudError

        if self._named != _reachable(view):
            try:
                refresh(self.app.session())
            except (CloudError, OSError) as error:
                return _("the names for ssh are not up to date: {reason}").format(reason=reason_of(error))
            self._named = _reachable(view)
        return ""

    def _heard(self, answer: tuple[FleetView | None, str]) -> None:
        before = self.news
        if answer[0] is None and self._silent is not None:
            self.news, self._silent = self._silent, None
        super()._heard(answer)
        if answer[0] is None:
            self._draw()
        else:
            self._record(before, answer[0])
            for alert in alerts(before, answer[0], self.app.now()):
                self.app.ring(alert.title, alert.text, alert.severity)

    def _record(self, before: FleetView | None, view: FleetView) -> None:
        """Note what changed, have those boxes sampled that answer, and name them for ssh; nobody waits for it."""
        at = self.app.now()

        def keep() -> str:
            try:
                self.app.session().recorder.keep_fleet(before, view, at)
            except sqlite3.Error as error:
                return _("the recorder cannot be written: {reason}").format(reason=error)
            self.app.sampling.want(self.NAME, to_sample(view))
            return self._keep_names(view)

        self.in_background(keep, self._kept)

    def _kept(self, problem: str) -> None:
        """Say once why something is not."""
        if problem and problem != self._not_kept:
            self.app.tell(problem, "warning")
        self._not_kept = problem

    def show(self, news: FleetView) -> None:
        """Draw what was heard."""
        self.news = news
        self._draw()
        if self._wanted:
            self._put_cursor()

    def show_stale(self, reason: str) -> None:
        """Rows stay, greyed, and the note under them says why and since when."""
        self.app.tell(reason, "warning", _("The fleet is not known"))

    # ---- drawing ----

    @property
    def now(self) -> float:
        """Unix seconds in the cloud's time: as it was told with the last answer, and what passed here since."""
        if self.news is None:
            return self.app.now()
        passed_s = max(0.0, self.app.now() - self.news.heard_at) if self.news.heard_at is not None else 0.0
        return self.news.now + (passed_s if self.news.error is None else 0.0)

    def _draw(self) -> None:
        view = self.news
        if view is None or not self.is_attached or self.table is None:
            return
        wall_now = self.app.now()
        for line in self.app.screen_stack[0].query(TopLine):
            line.burn = burn_words(view, wall_now)
        if self.app.view is not self:
            return
        doing = under_way(self.app.commands.entries, self.app.running.waiting, view.heard_at)
        rows = [fleet_row(each, self.now, wall_now, doing.get(each.id, "")) for each in view.instances]
        offers_keys = self.app.keys_of(action_called("fleet.offers"))
        self.table.show(rows, fleet_note(view, wall_now), empty_words(view, offers_keys))
        money = self.query_one("#fleet-money", Static)
        money.update(money_lines(view, money.content_size.width))
        self._draw_card()

    def _draw_card(self) -> None:
        chosen_one = self.marked
        place = self.query_one("#fleet-card", Static)
        width = place.content_size.width
        card = instance_card(chosen_one, self.now, self.app.now(), width) if chosen_one is not None else Text()
        if card != self._card or card.spans != self._card.spans:
            self._card = card
            place.update(card)

    def on_keyed_table_highlighted(self, _event: KeyedTable.Highlighted) -> None:
        """Tell of the instance under the cursor, and what can be done with it."""
        self._draw_card()
        self.app.draw_top()

    def on_resize(self) -> None:
        """A narrow screen gets shorter words, once its parts have their new sizes."""
        self.call_after_refresh(self._draw)

    def on_show(self) -> None:
        """What was heard meanwhile."""
        self._draw()

    # ---- what the shell asks ----

    def open(self, argument: str) -> None:
        """An instance's number puts the cursor on it; anything else is a filter."""
        super().open(argument)
        if argument.isdigit():
            self._wanted = argument
            self._put_cursor()
        elif argument and self.table is not None:
            self.table.set_filter(argument)

    def _put_cursor(self) -> None:
        if self.table is not None and self.table.put_cursor(self._wanted):
            self._wanted = ""

    @property
    def marked(self) -> InstanceView | None:
        """The instance under the cursor."""
        key = self.table.cursor_key if self.table is not None else None
        return next((each for each in (self.news.instances if self.news else ()) if str(each.id) == key), None)

    @property
    def problem_count(self) -> int:
        """Instances that get nowhere, or that nobody knows."""
        if self.news is None:
            return 0
        return sum(stuck_of(each, self.now, self.app.now()) is not None for each in self.news.instances)

    def refusal(self, action: Action) -> str:
        """Actions about a row want one that is ours."""
        verb = action.id.partition(".")[2]
        if verb not in ROW_ACTIONS:
            return ""
        each = self.marked
        if each is None:
            return _("Mark an instance first.")
        found = chosen(self.news, (str(each.id),))
        if isinstance(found, str) and verb != "open":
            return found
        if verb in ("run", "log") and each.run_id is None:
            return _("No run works on instance {id}.").format(id=each.id)
        return ""

    def copies(self) -> Sequence[Copyable]:
        """The id, ways in, and what it is called."""
        each = self.marked
        if each is None:
            return ()
        root = str(self.app.workspace.root)
        found = [Copyable(_("id"), str(each.id))]
        if each.standing != "foreign":
            ssh = shlex.join(("spotter", "-C", root, "ssh", str(each.id)))
            found.append(Copyable(_("ssh command"), ssh))
        found += [Copyable(_("endpoint"), endpoint) for endpoint in each.endpoints]
        found.append(Copyable(_("label"), each.note or each.label))
        if each.run_id:
            found.append(Copyable(_("run"), each.run_id))
            found.append(Copyable(_("path of its results"), str(self.app.workspace.run_folder(each.run_id))))
        return found

    # ---- actions ----

    def on_keyed_table_opened(self, event: KeyedTable.Opened) -> None:
        """Enter shows the instance."""
        self.app.go("instance", event.key)

    def action_fleet_open(self) -> None:
        """Show the marked instance."""
        if self.marked is not None:
            self.app.go("instance", str(self.marked.id))

    def action_fleet_shell(self) -> None:
        """Open a shell on the marked instance; its end brings the console back."""
        from console.screens.instance_shell import open_shell

        if self.marked is not None:
            open_shell(self.app, self.marked.id)

    def action_fleet_run(self) -> None:
        """Show the run that works on it."""
        if self.marked is not None and self.marked.run_id:
            self.app.go("run", self.marked.run_id)

    def action_fleet_log(self) -> None:
        """Show its log."""
        if self.marked is not None and self.marked.run_id:
            self.app.go("log", self.marked.run_id)

    def action_fleet_sync(self) -> None:
        """Show what differs."""
        if self.marked is not None:
            self.app.go("sync", str(self.marked.id))

    def action_fleet_services(self) -> None:
        """Show what is served there."""
        if self.marked is not None:
            self.app.go("services", str(self.marked.id))

    def action_fleet_offers(self) -> None:
        """Show the market."""
        self.app.go("offers")

    def action_fleet_guard(self) -> None:
        """Show when it gives itself back."""
        if self.marked is not None:
            self.app.push_screen(GuardPanel(self, self.marked))

    def action_fleet_label(self) -> None:
        """Ask for a label, and keep it."""
        each = self.marked
        if each is None:
            return

        def keep(text: str | None) -> None:
            if text is not None and text != each.note:
                self._write_label(each.id, text)

        self.app.push_screen(LabelField(each.id, each.note), keep)

    def _write_label(self, instance_id: int, text: str) -> None:
        from console.operations.notes import write_note

        self.app.log_command(shlex.join(("spotter", "label", str(instance_id), text)), f"label {instance_id}")

        def show(kept: str) -> None:
            if self.news is not None:
                self.show(_with_note(self.news, instance_id, kept))

        self.in_background(lambda: write_note(self.app.session(), instance_id, text), show)

    def question_fleet_destroy(self, targets: tuple[str, ...]) -> Question | str:
        """Before instances are destroyed."""
        return self._marking(destroy_question(self.news, targets, self.now))

    def question_fleet_stop(self, targets: tuple[str, ...]) -> Question | str:
        """Before instances are stopped."""
        return self._marking(stop_question(self.news, targets, self.now))

    def question_fleet_rerent(self, targets: tuple[str, ...]) -> Question | str:
        """Before another machine takes an instance's place."""
        return self._marking(rerent_question(self.news, targets, self.now, self.app.now()))

    def _marking(self, question: Question | str) -> Question | str:
        """The same; after a yes the rows say at once what is being done to them."""
        return question if isinstance(question, str) else replace(question, agreed=self._draw)

    def question_fleet_extend(self, targets: tuple[str, ...]) -> Question | str:
        """Before guards are put off."""
        return extend_question(self.news, targets, self.extension_h, self.app.now())


def _with_note(view: FleetView, instance_id: int, note: str) -> FleetView:
    rows = (replace(each, note=note) if each.id == instance_id else each for each in view.instances)
    return replace(view, instances=tuple(rows))


def _reachable(view: FleetView) -> set[tuple[int, tuple[str, ...]]]:
    """What names for ssh depend on."""
    return {(each.id, each.endpoints) for each in view.instances}
