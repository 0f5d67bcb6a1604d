"""Themes: ours, those that leave the terminal its own palette, and the operator's own files, read again as they change.

A theme of the operator's is a YAML file in `.spotter/themes/` or `~/.config/spotter/themes/`:

    name: paper            # default: the file's name
    dark: false
    primary: "#0a4fd0"     # needed; the others are made from it
    background: "#fffdf5"
    variables: {border-blurred: "#cccccc"}
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual.color import Color, ColorParseError
from textual.theme import BUILTIN_THEMES, Theme
from textual.widgets import Static

from console.language import _
from console.models.console_state import read_state, write_state
from console.theme import DARK, LIGHT
from console.workspace import Workspace

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

    from console.app import SpotterApp

OURS = (DARK, LIGHT)
OF_TERMINAL = ("ansi-dark", "ansi-light")
"""Textual's own two that use the terminal's sixteen colours as the operator set them."""
REMEMBERED = "theme"
COLOURS = frozenset({
    "primary", "secondary", "warning", "error", "success", "accent", "foreground", "background", "surface", "panel",
    "boost",
})  # fmt: skip
STYLE_WORDS = frozenset({"none", "bold", "dim", "italic", "underline", "reverse", "strike"})
LARGEST_BYTES = 64 * 1024
QUIET_S = 0.2
"""An editor writes a file in several steps; it is read once they are over."""


class ThemeWrong(ValueError):
    """A file is no theme; the text says why, without the file's name."""


@dataclass(frozen=True, slots=True)
class UserThemes:
    """What the operator's files hold."""

    themes: tuple[Theme, ...] = ()
    problems: tuple[str, ...] = ()
    """One sentence a file that is no theme."""

    @property
    def message(self) -> str:
        """All bad files in one; empty when there are none."""
        return _("no theme: {files}").format(files="; ".join(self.problems)) if self.problems else ""


def theme_folders(workspace: Workspace, environment: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Where the operator's themes may stand; the workspace's go before those of the home folder."""
    config = environment.get("XDG_CONFIG_HOME") or str(Path(environment.get("HOME") or "~").expanduser() / ".config")
    return workspace.state / "themes", Path(config) / "spotter" / "themes"


def read_themes(folders: Iterable[Path]) -> UserThemes:
    """The themes of all files; of two with one name the first stays."""
    themes: dict[str, Theme] = {}
    problems = []
    for folder in folders:
        for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
            try:
                theme = read_theme(path)
            except (ThemeWrong, OSError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                problems.append(f"{path.name} ({reason})")
            else:
                themes.setdefault(theme.name, theme)
    return UserThemes(tuple(themes.values()), tuple(problems))


def read_theme(path: Path) -> Theme:
    """One file as a theme. Whatever could break the screen's style sheet is refused here.

    Raises:
        ThemeWrong: it is none.
        OSError: it cannot be read.
    """
    import yaml

    if path.stat().st_size > LARGEST_BYTES:
        raise ThemeWrong(_("too large for a theme"))
    try:
        said = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # no such date; brackets without end
        where = getattr(error, "problem_mark", None)
        raise ThemeWrong(_("not YAML") + (f", {where.line + 1}:{where.column + 1}" if where else "")) from error
    if not isinstance(said, dict):
        raise ThemeWrong(_("expected names and colours"))
    return _theme(said, path.stem)


def _theme(said: Mapping[Any, Any], stem: str) -> Theme:
    name = said.get("name", stem)
    if not isinstance(name, str) or not re.fullmatch(r"[\w][\w .-]{0,39}", name):
        raise ThemeWrong(_("name: a short name of letters, digits and hyphens"))
    if name in BUILTIN_THEMES or name in {theme.name for theme in OURS}:
        raise ThemeWrong(_("name: {name} is a built-in theme").format(name=name))
    unknown = [str(key) for key in said if key not in COLOURS | {"name", "dark", "variables"}]
    if unknown:
        raise ThemeWrong(_("unknown: {names}").format(names=", ".join(unknown)))
    if "primary" not in said:
        raise ThemeWrong(_("primary is missing"))
    dark, variables = said.get("dark", True), said.get("variables", {})
    if not isinstance(dark, bool):
        raise ThemeWrong(_("dark: true or false"))
    if not isinstance(variables, dict):
        raise ThemeWrong(_("variables: expected names and colours"))
    colours: dict[str, Any] = {key: _colour(key, said[key]) for key in sorted(COLOURS & set(said))}
    return Theme(name=name, dark=dark, variables=dict(_variable(*each) for each in variables.items()), **colours)


def _colour(name: str, value: Any) -> str:
    try:
        Color.parse(value if isinstance(value, str) else "")
    except ColorParseError:
        raise ThemeWrong(_("{name}: {value} is no colour").format(name=name, value=value)) from None
    return str(value)


def _variable(name: Any, value: Any) -> tuple[str, str]:
    """A variable of the style sheet: words for a text style, otherwise a colour."""
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9-]{0,60}", name) or name in COLOURS:
        raise ThemeWrong(_("variables: {name} is no name for one").format(name=name))
    if name.endswith("text-style"):
        words = value.split() if isinstance(value, str) else []
        if not words or not set(words) <= STYLE_WORDS:
            raise ThemeWrong(_("{name}: {value} is no text style").format(name=name, value=value))
        return name, " ".join(words)
    return name, _colour(name, value)


class Themes:
    """The app's themes: registers them, keeps the choice, and reads the operator's files again when they change.

    Make it before the app runs: what was chosen last is read then, so that the first frame has the right colours.
    """

    def __init__(self, app: SpotterApp, wanted: str = "") -> None:
        self._app = app
        self._folders = theme_folders(app.workspace)
        self._state = app.workspace.state
        remembered = read_state(self._state).get(REMEMBERED)
        self._wanted = wanted or (remembered if isinstance(remembered, str) else "")
        self._own: tuple[str, ...] = ()
        self._told = ""
        self._watch: ThemeWatch | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """In the order in which `T` goes through them."""
        return (*(theme.name for theme in OURS), *OF_TERMINAL, *self._own)

    @property
    def first(self) -> str:
        """What is put on before the operator's files are read."""
        return self._wanted if self._wanted in (*self.names, *BUILTIN_THEMES) else DARK.name

    def begin(self) -> None:
        """Dress the app up; the operator's files are read beside it."""
        for theme in OURS:
            self._app.register_theme(theme)
        self._app.theme = self.first
        self._app.theme_changed_signal.subscribe(self._app, self._colour_anew)
        self._app.in_background(partial(read_themes, self._folders), self.take)
        if any(folder.is_dir() for folder in self._folders):
            self._watch = ThemeWatch(self._folders, self._read_again)
            self._app.in_background(self._watch.start, lambda _done: None)

    def take(self, found: UserThemes) -> None:
        """Use the operator's themes as they stand now; what is no theme any more is left."""
        app = self._app
        own = tuple(theme.name for theme in found.themes)
        for gone in set(self._own) - set(own):
            if app.theme == gone:
                app.theme = DARK.name
            app.unregister_theme(gone)
        now, before = app.theme, self._own
        self._own = own
        for theme in found.themes:
            app.register_theme(theme)
        if now in own and now in before:  # the same name, perhaps other colours
            app.refresh_css(animate=False)
        elif self._wanted in own and self._wanted != now and not set(before) & {self._wanted}:
            app.theme = self._wanted
        if found.message and found.message != self._told:
            app.tell(found.message, "warning")
        self._told = found.message

    def next(self) -> str:
        """Put on the next theme and keep the choice; returns its name."""
        names = self.names
        at = names.index(self._app.theme) if self._app.theme in names else -1
        name = names[(at + 1) % len(names)]
        self._app.theme = self._wanted = name
        self._app.in_background(partial(write_state, self._state, {REMEMBERED: name}), lambda _done: None)
        return name

    def _colour_anew(self, _theme: Theme) -> None:
        """What `red` and so on mean was settled when a text was put on screen, so it is put there again."""
        for screen in self._app.screen_stack:
            for each in screen.query(Static):
                if isinstance(each.content, Text):
                    each.update(each.content, layout=False)

    def end(self) -> None:
        """Watch no more."""
        if self._watch is not None:
            self._watch.stop()

    def _read_again(self) -> None:
        """Called in the watch's thread."""
        self._app.in_background(partial(read_themes, self._folders), self.take)


class ThemeWatch:
    """Calls `changed`, in a thread, once files of the folders that exist have changed and are quiet again."""

    def __init__(self, folders: Sequence[Path], changed: Callable[[], None]) -> None:
        self._folders = tuple(folders)
        self._changed = changed
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._observer: BaseObserver | None = None
        self._ended = False

    def start(self) -> None:
        """Begin; loads the watching library. Call it in a thread.

        Raises:
            OSError: the system watches no more folders.
        """
        from watchdog.events import FileSystemEventHandler
        from watchdog.observers import Observer

        class Handler(FileSystemEventHandler):
            def on_any_event(_self, event: FileSystemEvent) -> None:  # noqa: N805 - `self` is the watch
                if event.event_type not in ("opened", "closed_no_write"):
                    self._soon()

        observer = Observer()
        observer.daemon = True
        for folder in self._folders:
            if folder.is_dir():
                observer.schedule(Handler(), str(folder))
        with self._lock:
            if self._ended:
                return
            observer.start()
            self._observer = observer

    def stop(self) -> None:
        """End; nothing is called afterwards."""
        with self._lock:
            self._ended = True
            if self._timer is not None:
                self._timer.cancel()
            if self._observer is not None:
                self._observer.stop()

    def _soon(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if not self._ended:
                self._timer = threading.Timer(QUIET_S, self._changed)
                self._timer.daemon = True
                self._timer.start()
