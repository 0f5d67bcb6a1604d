"""Sync: what differs between this workspace and every box, and what travels now. The plan always comes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from console.actions.action import Action, Question
from console.language import _, ngettext
from console.models.sync_plan import Box, BoxPlan, Pair, pairs_of
from console.screens.sync_rows import (
    COLUMNS,
    abort_question,
    fetch_question,
    pair_row,
    plan_text,
    push_question,
)
from console.screens.view import Copyable, PolledView
from console.widgets.keyed_table import KeyedTable
from console.words import visible

FETCHING = ("spotter pull ", "spotter diff ")
NEEDS_A_PAIR = frozenset({"sync.push", "sync.fetch", "sync.abort", "sync.plan"})


@dataclass(frozen=True, slots=True)
class SyncNews:
    """What is rented, and what is being sent."""

    boxes: tuple[Box, ...]


class Sync(PolledView[SyncNews]):
    """Three pairs a box. Transfers are followed all the time; a box is compared when it is first seen, and by `n`."""

    NAME = "sync"
    POLL_S = 0.5

    def __init__(self) -> None:
        super().__init__()
        self._boxes: tuple[Box, ...] = ()
        self._plans: dict[int, BoxPlan] = {}
        self._planning: set[int] = set()
        self._moving: set[int] = set()

    def compose_main(self) -> ComposeResult:
        """One table."""
        yield KeyedTable(COLUMNS, id="sync-table")

    def compose_side(self) -> ComposeResult:
        """The plan of the marked pair."""
        yield Static(id="sync-plan", markup=False)

    def open(self, argument: str) -> None:
        """Show one instance's pairs, or those that a filter keeps."""
        super().open(argument)
        wanted = argument.strip()
        self.query_one(KeyedTable).set_filter(f"instance:{wanted}" if wanted.isdigit() else wanted)

    # ---- reading and drawing ----

    def read(self) -> SyncNews:
        """What is rented, by the ledger, and the notes of transfers."""
        from console.operations.sync_plan import boxes_of

        return SyncNews(boxes_of(self.app.session()))

    def show(self, news: SyncNews) -> None:
        """Draw what was read; compare a box that was never compared, and one to which a push has ended."""
        self._boxes = news.boxes
        moving = {box.instance_id for box in news.boxes if box.transfer is not None and box.transfer.state == "running"}
        ended, self._moving = self._moving - moving, moving
        fetched_at = self._fetched_at()
        for box in news.boxes:
            plan = self._plans.get(box.instance_id)
            if self.app.live and (plan is None or box.instance_id in ended or plan.planned_at < fetched_at):
                self._compare(box.instance_id)
        self._draw()

    def _fetched_at(self) -> float:
        """When something that was fetched from here last came to its end: comparisons from before tell no more."""
        ended = (
            ran.at + (ran.seconds or 0.0)
            for ran in self.app.commands.entries
            if ran.exit_code is not None and ran.line.startswith(FETCHING)
        )
        return max(ended, default=0.0)

    def show_stale(self, reason: str) -> None:
        """Say why there is nothing newer; the rows stay."""
        super().show_stale(reason)
        self._draw(_("stale: {reason}").format(reason=visible(reason)))

    def told(self, plan: BoxPlan) -> None:
        """Draw a comparison that has come."""
        self._planning.discard(plan.instance_id)
        self._plans[plan.instance_id] = plan
        self._draw()

    def _pairs(self) -> list[Pair]:
        return pairs_of(self._boxes, self._plans, frozenset(self._planning))

    def _draw(self, instead: str = "") -> None:
        now = self.app.now()
        pairs = self._pairs()
        count = len(self._boxes)
        note = instead or (
            ngettext("{n} box", "{n} boxes", count).format(n=count)
            if count
            else _("nothing is rented: there is nothing to keep in step")
        )
        firsts = {pair.box.instance_id: pair.key for pair in reversed(pairs)}
        rows = [pair_row(pair, now, reason=pair.key == firsts[pair.box.instance_id]) for pair in pairs]
        self.query_one(KeyedTable).show(rows, note)
        self._draw_side()

    def _draw_side(self) -> None:
        marked = self._marked()
        text = Text() if marked is None else plan_text(marked, self.app.now())
        self.query_one("#sync-plan", Static).update(text)

    def on_keyed_table_highlighted(self, event: KeyedTable.Highlighted) -> None:
        """The plan of the pair under the cursor."""
        event.stop()
        self._draw_side()

    def on_keyed_table_opened(self, event: KeyedTable.Opened) -> None:
        """Enter: the machine of the pair."""
        event.stop()
        self.app.go("instance", event.key.partition("/")[0])

    # ---- comparing ----

    def _compare(self, instance_id: int) -> None:
        """Ask one box, in a thread of its own; a box that does not answer holds no other one up."""
        if instance_id in self._planning:
            return
        self._planning.add(instance_id)
        app = self.app

        def ask() -> BoxPlan:
            from console.operations.sync_plan import plan_sync

            try:
                return plan_sync(app.session(), instance_id)
            except Exception as error:  # noqa: BLE001 - said in the pair's own row
                return BoxPlan(instance_id, app.now(), error=str(error) or type(error).__name__)

        self.in_background(ask, self.told)

    # ---- who is meant ----

    def _marked(self) -> Pair | None:
        key = self.table.cursor_key if self.table is not None else None
        return next((pair for pair in self._pairs() if pair.key == key), None)

    def _of(self, targets: Sequence[str]) -> list[Pair]:
        return [pair for pair in self._pairs() if pair.key in targets]

    def refusal(self, action: Action) -> str:
        """What is about a pair wants one."""
        return _("Nothing is rented.") if action.id in NEEDS_A_PAIR and not self._boxes else ""

    def copies(self) -> Sequence[Copyable]:
        """The commands that do the same for the marked pair."""
        pair = self._marked()
        if pair is None:
            return ()
        number = pair.box.instance_id
        found = [Copyable(_("compare"), f"spotter diff {number}"), Copyable(_("push"), f"spotter push {number}")]
        found += [Copyable(_("fetch"), f"spotter pull {run.run_id}") for run in pair.runs]
        return found

    @property
    def problem_count(self) -> int:
        """Pairs that want an eye."""
        return sum(pair.problem for pair in self._pairs())

    # ---- actions ----

    def action_sync_plan(self) -> None:
        """Compare the boxes of the marked pairs again."""
        for number in dict.fromkeys(pair.box.instance_id for pair in self._of(self.targets())):
            self._compare(number)
        self._draw()

    def question_sync_push(self, targets: tuple[str, ...]) -> Question | str:
        """Before files go to a box."""
        return push_question(self._of(targets))

    def question_sync_fetch(self, targets: tuple[str, ...]) -> Question | str:
        """Before files come from a box."""
        return fetch_question(self._of(targets))

    def question_sync_abort(self, targets: tuple[str, ...]) -> Question | str:
        """Before a push is stopped."""
        return abort_question(self._of(targets))
