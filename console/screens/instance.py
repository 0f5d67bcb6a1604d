"""One instance: charts of what it does, its log, files, runs and story, and a card of what it is and costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import ContentSwitcher, Static

from console.actions.action import Action, Question
from console.language import N_, _
from console.models.instance_charts import WINDOWS
from console.screens.instance_files import FilesPane
from console.screens.instance_log import LogPane
from console.screens.instance_overview import ChartsPane
from console.screens.instance_rows import EVENT_COLUMNS, RUN_COLUMNS, event_rows, facts, run_rows
from console.screens.view import Copyable, Listing, PolledView
from console.spoken import duration
from console.widgets.keyed_table import KeyedTable
from console.widgets.table_lines import TableLines

if TYPE_CHECKING:
    from console.models.fleet import FleetView, InstanceView
    from console.models.instance_news import InstanceNews, LogTails

TABS = {
    "overview": N_("Overview"), "log": N_("Log"), "files": N_("Files"), "runs": N_("Runs"), "events": N_("Events"),
}  # fmt: skip
OF_LIVING = frozenset({"instance.shell", "instance.services", "instance.stop", "instance.destroy"})
"""Actions that want a machine that is still there."""


class Instance(PolledView["InstanceNews | None"]):
    """The instance that was opened, or the one under the fleet's cursor."""

    NAME = "instance"
    POLL_S = 2.0

    def __init__(self) -> None:
        super().__init__()
        self._chosen: int | None = None
        self._tab = "overview"
        self._window = 0
        self._buckets = 120
        self._listed: tuple[InstanceView, ...] = ()
        self._tails: LogTails | None = None

    def compose_main(self) -> ComposeResult:
        """Tabs, and the pane of the chosen one."""
        yield Static(self._tab_line(), id="instance-tabs", markup=False)
        with ContentSwitcher(id="instance-panes", initial="instance-overview"):
            yield ChartsPane(id="instance-overview")
            yield LogPane(id="instance-log")
            yield FilesPane(id="instance-files")
            yield KeyedTable(RUN_COLUMNS, id="instance-runs")
            yield KeyedTable(EVENT_COLUMNS, id="instance-events")

    def compose_side(self) -> ComposeResult:
        """The card."""
        yield Static("", id="instance-facts", markup=False)

    # ---- where it is ----

    @property
    def instance_id(self) -> int | None:
        """The instance on screen, or to be."""
        return self._chosen

    @property
    def crumbs(self) -> tuple[str, ...]:
        """Id and tab."""
        return () if self._chosen is None else (str(self._chosen), _(TABS[self._tab]))

    @property
    def table(self) -> KeyedTable | None:
        """The list of the tab on screen, where it has one."""
        if self._tab in ("runs", "events"):
            return self.query_one(f"#instance-{self._tab}", KeyedTable)
        return self.query_one(FilesPane).table if self._tab == "files" else None

    def open(self, argument: str) -> None:
        """`31245`, or with the tab behind it: `31245 files`."""
        super().open(argument)
        words = argument.split()
        for word in words:
            if word.isdigit():
                self._choose(int(word))
            elif word in TABS:
                self._show_tab(word)
            else:
                self.app.tell(
                    _("{word} is neither an instance's id nor a tab ({tabs})").format(word=word, tabs=", ".join(TABS)),
                    "warning",
                )
        self.poll()

    def _choose(self, instance_id: int) -> None:
        if instance_id == self._chosen:
            return
        self._chosen = instance_id
        self._tails = None
        self.news = None
        self.query_one("#instance-facts", Static).update("")
        self.query_one(ChartsPane).clear()
        self.query_one(LogPane).forget()
        self.query_one(FilesPane).open_box(instance_id)
        self._want_samples()
        self.app.draw_top()

    def on_show(self) -> None:
        """Coming to it without a word means the row under the fleet's cursor."""
        self._look_at_fleet()
        if self._chosen is None and (chosen := self._fleet_choice()) is not None:
            self._choose(chosen)
        self._want_samples()

    def on_hide(self) -> None:
        """Who does not look asks for nothing."""
        self.query_one(FilesPane).let_go()
        if self.app.live:
            self.app.sampling.want(self.NAME, ())

    def _want_samples(self) -> None:
        if not self.app.live or self.app.view is not self:
            return
        from console.operations.samples import CLOSE_S

        rented = self.news.rented if self.news is not None else None
        gone = rented is not None and not rented.alive
        self.app.sampling.want(self.NAME, () if self._chosen is None or gone else (self._chosen,), CLOSE_S)

    def _look_at_fleet(self) -> None:
        """What the fleet heard last; it is asked for nothing."""
        for fleet in self.app.screen_stack[0].query("#fleet"):
            news: FleetView | None = getattr(fleet, "news", None)
            self._listed = news.instances if news is not None else ()

    def _fleet_choice(self) -> int | None:
        for fleet in self.app.screen_stack[0].query("#fleet"):
            if isinstance(fleet, PolledView) and (targets := fleet.targets()):
                return int(targets[0])
        return None

    # ---- news ----

    def poll(self) -> None:
        """Ask, with what the fleet knows by now."""
        self._look_at_fleet()
        self._buckets = self.query_one(ChartsPane).buckets or self._buckets
        super().poll()

    def read(self) -> InstanceNews | None:
        """Read ledger, recorder and files of this machine; no cloud is asked."""
        from console.models.instance_news import LogTails, read_instance

        session = self.app.session()
        wanted = self._chosen
        if wanted is None:
            rented = session.living_rentals()
            if not rented:
                return None
            wanted = rented[-1].instance_id
        listed = next((each for each in self._listed if each.id == wanted), None)
        problem = self.app.sampling.problem(wanted)
        if self._tails is None:
            self._tails = LogTails()
        return read_instance(
            session, wanted, WINDOWS[self._window], self._buckets, self.app.now(),
            tails=self._tails, listed=listed, problem=problem,
        )  # fmt: skip

    def _heard(self, answer: tuple[InstanceNews | None, str]) -> None:
        """Nothing rented is an answer, too."""
        if answer == (None, ""):
            self._nothing()
        super()._heard(answer)

    def _nothing(self) -> None:
        words = _("Nothing is rented. 2 shows what could be; `:instance ID` shows one of before.")
        self.query_one("#instance-facts", Static).update(Text(words, style="dim"))
        self.query_one(ChartsPane).say(words)

    def show(self, news: InstanceNews | None) -> None:
        """Draw what was read; news of an instance that is no longer meant are dropped."""
        if news is None:
            self._nothing()
            return
        if self._chosen is None:
            self._choose(news.instance_id)
        if news.instance_id != self._chosen:
            return
        self.news = news
        self._draw_facts()
        self.query_one(ChartsPane).show(news.charts, news.problem)
        self.query_one(LogPane).show(news.log, news.log_run)
        self.query_one("#instance-runs", KeyedTable).show(
            run_rows(news.runs, news.cloud_now), _("runs that worked on this instance · enter opens one")
        )
        self.query_one("#instance-events", KeyedTable).show(
            event_rows(news.happenings, news.cloud_now), _("what happened to it, newest first")
        )
        self.query_one("#instance-tabs", Static).update(self._tab_line())
        self._want_samples()

    def _draw_facts(self) -> None:
        card = self.query_one("#instance-facts", Static)
        if self.news is not None:
            card.update(facts(self.news, card.content_size.width))

    def on_resize(self) -> None:
        """The card and the line of tabs fit the new room."""
        self.call_after_refresh(self._draw_widths)

    def _draw_widths(self) -> None:
        if self.is_mounted:
            self._draw_facts()
            self.query_one("#instance-tabs", Static).update(self._tab_line())

    def show_stale(self, reason: str) -> None:
        """What is on screen stays."""
        super().show_stale(reason)
        self.query_one("#instance-tabs", Static).update(self._tab_line())

    # ---- tabs ----

    def _tab_line(self) -> Text:
        line = Text(" ", no_wrap=True, overflow="ellipsis")
        for name, title in TABS.items():
            here = name == self._tab
            line.append(f"[{_(title)}]" if here else f" {_(title)} ", style="bold reverse" if here else "")
            line.append(" ")
        more = [Text(_("STALE"), style="bold yellow")] if self.stale else []
        if self._tab == "overview":
            news = self.news
            if news is not None and news.newest_at is not None:
                age = duration(max(0.0, news.now - news.newest_at))
                more.append(Text(_("last sample {age} ago").format(age=age), style="dim"))
            more.append(Text(_("window {window}").format(window=_(WINDOWS[self._window].label)), style="dim"))
        width = next((tabs.content_size.width for tabs in self.query("#instance-tabs").results(Static)), 0)
        for part in more:  # whole, or not at all: half a figure is none
            if line.cell_len + 2 + part.cell_len <= width or not width:
                line.append("  ").append_text(part)
        return line

    def _show_tab(self, name: str) -> None:
        self._tab = name
        self.query_one("#instance-panes", ContentSwitcher).current = f"instance-{name}"
        self.query_one("#instance-tabs", Static).update(self._tab_line())
        pane = self.table.query_one(TableLines) if self.table is not None else self.query_one(f"#instance-{name}")
        self.screen.set_focus(pane)  # at once: the next key may be waiting already
        if name == "files":
            self.query_one(FilesPane).look()
        self.app.draw_top()

    def _step_tab(self, step: int) -> None:
        names = list(TABS)
        self._show_tab(names[(names.index(self._tab) + step) % len(names)])

    def focus_main(self) -> None:
        """The keyboard goes to the tab's pane."""
        if self.table is not None:
            self.table.focus_rows()
        else:
            self.query_one(f"#instance-{self._tab}").focus()

    def on_keyed_table_opened(self, message: KeyedTable.Opened) -> None:
        """Enter on a run shows it."""
        if message.table.id == "instance-runs":
            message.stop()
            self.app.go("run", message.key)

    # ---- what is offered ----

    def targets(self) -> tuple[str, ...]:
        """The instance, whatever row its tab has the cursor on."""
        return () if self._chosen is None else (str(self._chosen),)

    def refusal(self, action: Action) -> str:
        """Nothing can be done to a machine that is gone."""
        if action.id not in OF_LIVING:
            return ""
        if self._chosen is None:
            return _("There is no instance here.")
        rented = self.news.rented if self.news is not None else None
        return _("Instance {id} is gone.").format(id=self._chosen) if rented is not None and not rented.alive else ""

    def copies(self) -> Sequence[Copyable]:
        """Id, ways in, and the path of the file under the cursor."""
        if self._chosen is None:
            return ()
        found = [
            Copyable(_("id"), str(self._chosen)),
            Copyable(_("ssh command"), f"spotter ssh {self._chosen}"),
        ]
        if self.news is not None:
            found += [Copyable(_("endpoint"), each) for each in self.news.endpoints]
        if self._tab == "files" and (path := self.query_one(FilesPane).path_under_cursor):
            found.append(Copyable(_("path"), path))
        return found

    def listing(self) -> Listing | None:
        """The tab's rows; of the overview, the values of its charts."""
        if self._tab != "overview":
            return super().listing()
        if self.news is None:
            return None
        rows: list[tuple[str | float | int | None, ...]] = []
        for chart in self.news.charts:
            for line in chart.lines:
                rows += [(chart.title, line.name, number, value) for number, value in enumerate(line.values)]
        return Listing(f"instance-{self._chosen}", ("chart", "line", "bucket", "value"), tuple(rows))

    # ---- actions ----

    def action_instance_tab_next(self) -> None:
        """The tab to the right."""
        self._step_tab(1)

    def action_instance_tab_previous(self) -> None:
        """The tab to the left."""
        self._step_tab(-1)

    def action_instance_longer(self) -> None:
        """More of the past."""
        self._set_window(self._window + 1)

    def action_instance_shorter(self) -> None:
        """Less of the past."""
        self._set_window(self._window - 1)

    def _set_window(self, number: int) -> None:
        self._window = max(0, min(len(WINDOWS) - 1, number))
        self.query_one("#instance-tabs", Static).update(self._tab_line())
        self.poll()

    def action_instance_other(self) -> None:
        """The next instance of the fleet."""
        self._look_at_fleet()
        ids = [each.id for each in self._listed]
        if not ids:
            self.app.say(_("The fleet lists no other instance."))
            return
        after = ids.index(self._chosen) + 1 if self._chosen in ids else 0
        self._choose(ids[after % len(ids)])
        self.poll()

    def action_instance_log(self) -> None:
        """The whole log of its newest run."""
        if self.news is None or not self.news.log_run:
            self.app.say(_("No run of this workspace worked on this instance."))
        else:
            self.app.go("log", self.news.log_run)

    def action_instance_services(self) -> None:
        """Its services."""
        self.app.go("services", "" if self._chosen is None else str(self._chosen))

    def action_instance_shell(self) -> None:
        """A shell on it."""
        if self._chosen is None:
            self.app.say(_("There is no instance to open a shell on."))
            return
        from console.screens.instance_shell import open_shell

        open_shell(self.app, self._chosen)

    def question_instance_destroy(self, targets: tuple[str, ...]) -> Question | str:
        """What the fleet asks before it destroys."""
        return self._fleet_question("destroy", targets)

    def question_instance_stop(self, targets: tuple[str, ...]) -> Question | str:
        """What the fleet asks before it stops."""
        return self._fleet_question("stop", targets)

    def _fleet_question(self, verb: str, targets: tuple[str, ...]) -> Question | str:
        if not targets:
            return _("There is no instance here.")
        ask = getattr(self.app.view_called("fleet"), f"question_fleet_{verb}")
        question: Question | str = ask(targets)
        return question
