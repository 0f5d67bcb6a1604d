"""What the doctor looks at for the console itself: terminal, tmux, keys, themes, languages."""

from __future__ import annotations

import gettext
import locale
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping

from console.operations.doctor import Finding
from console.workspace import Workspace

SMALLEST = (80, 24)
TMUX_PATIENCE_S = 1.0


def terminal(
    environment: Mapping[str, str] = os.environ, size: os.terminal_size | None = None, encoding: str = ""
) -> Iterator[Finding]:
    """Its kind, colours, size and letters, and the programs beside it."""
    term = environment.get("TERM", "")
    if term in ("", "dumb"):
        message = f"TERM={term or 'unset'}: the console will not open, commands work"
        yield Finding("terminal", "warning", message, "open a terminal that can draw, such as TERM=xterm-256color")
    else:
        yield _colours(environment, term)
        size = size or shutil.get_terminal_size()
        room = f"{size.columns}×{size.lines}"
        if size.columns < SMALLEST[0] or size.lines < SMALLEST[1]:
            fix = f"make the window at least {SMALLEST[0]}×{SMALLEST[1]}"
            yield Finding("terminal's size", "warning", f"{room}: columns and panes are left out", fix)
        else:
            yield Finding("terminal's size", "ok", room)
    letters = encoding or locale.getpreferredencoding(do_setlocale=False)
    if letters.casefold().replace("-", "") != "utf8":
        yield Finding("letters", "warning", f"{letters}: names in other alphabets are spoiled", "export LC_ALL=C.UTF-8")
    if shutil.which("ssh") is None:
        message = "no `ssh` on PATH: Spotter does not need it, a shell on a box does"
        yield Finding("ssh client", "warning", message, "install OpenSSH's client (apt install openssh-client)")
    yield from tmux(environment)


def _colours(environment: Mapping[str, str], term: str) -> Finding:
    if environment.get("NO_COLOR"):
        return Finding("terminal", "ok", f"{term}, no colour (NO_COLOR)")
    found = environment.get("COLORTERM", "256 colours" if "256" in term else "16 colours")
    if found in ("truecolor", "24bit") or "256" in term or "direct" in term:
        return Finding("terminal", "ok", f"{term}, {found}")
    fix = "if the terminal can do more: export TERM=xterm-256color COLORTERM=truecolor; else T until `ansi-dark`"
    return Finding("terminal", "warning", f"{term}, {found}: themes look coarse", fix)


def _tmux_option(name: str) -> str:
    done = subprocess.run(
        ["tmux", "show-options", "-gqv", name], capture_output=True, text=True, timeout=TMUX_PATIENCE_S, check=True
    )
    return done.stdout.strip()


def tmux(environment: Mapping[str, str], option: Callable[[str], str] = _tmux_option) -> Iterator[Finding]:
    """Inside tmux: whether what is copied gets out of it."""
    if not environment.get("TMUX"):
        return
    try:
        clipboard = option("set-clipboard")
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("tmux", "warning", f"it cannot be asked: {error}", "look whether  tmux show-options -g  answers")
        return
    if clipboard == "on":
        yield Finding("tmux", "ok", "what is copied reaches the terminal")
    else:
        message = f"set-clipboard is {clipboard or 'unknown'}: what `y` copies may not get out of tmux"
        yield Finding("tmux", "warning", message, "tmux set -g set-clipboard on   (and the same line in ~/.tmux.conf)")


def keymap(workspace: Workspace) -> Iterator[Finding]:
    """Whether the operator's own keys can be."""
    from console.actions.registry import ACTIONS
    from console.models.keymap import resolve
    from console.preferences import read_preferences

    found = resolve(ACTIONS, read_preferences(workspace).keymap)
    fix = f"edit [keymap] in {workspace.settings_file}: `spotter keys` lists all actions and keys"
    for problem in found.problems:
        yield Finding("keymap", "warning", problem, fix, ("keys", "--check"))
    if not found.problems:
        own = len(found.users)
        yield Finding("keymap", "ok", f"{own} keys of your own" if own else "the built-in keys")


def themes(workspace: Workspace) -> Iterator[Finding]:
    """Whether the operator's own themes are themes."""
    from console.themes import read_themes, theme_folders

    folders = theme_folders(workspace)
    found = read_themes(folders)
    fix = f"mend or remove the file under {' or '.join(map(str, folders))}; it is read again as soon as it is saved"
    for problem in found.problems:
        yield Finding("themes", "warning", f"no theme: {problem}", fix)
    if not found.problems:
        own = ", ".join(theme.name for theme in found.themes)
        yield Finding("themes", "ok", f"your own: {own}" if own else "the built-in ones")


def catalogs() -> Iterator[Finding]:
    """Whether every language that is offered can be read."""
    from console.language import LANGUAGES, LOCALE

    for language in LANGUAGES:
        if language == "en":
            continue
        folder = LOCALE / language / "LC_MESSAGES"
        sources = {path.stem for path in folder.glob("*.po")}
        broken = []
        for name in sorted(sources | {path.stem for path in folder.glob("*.mo")}):
            try:
                with (folder / f"{name}.mo").open("rb") as handle:
                    gettext.GNUTranslations(handle)
            except (OSError, ValueError) as error:
                broken.append(f"{name}.mo ({getattr(error, 'strerror', None) or 'damaged'})")
        if broken or not sources:
            message = f"{language}: {', '.join(broken) or 'no catalogs'}; those texts stay English"
            yield Finding("languages", "warning", message, "run  make catalogs  in a checkout, or install Spotter anew")
        else:
            yield Finding("languages", "ok", f"{language}: {len(sources)} catalogs")
