"""The clipboard of this machine's desktop, by the program that the desktop has for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping

PATIENCE_S = 2.0


class ClipboardFailed(Exception):
    """The clipboard's program did not take the text."""


def clipboard_program(
    environment: Mapping[str, str] = os.environ,
    platform: str = sys.platform,
    which: Callable[[str], str | None] = shutil.which,
) -> tuple[str, ...] | None:
    """The command that reads a text for the clipboard from its standard input; None where there is none.

    Over SSH there is none even if the program is installed: its clipboard would be that of the wrong machine.
    """
    if environment.get("SSH_CONNECTION"):
        return None
    found: list[tuple[str, ...]] = []
    if platform == "darwin":
        found.append(("pbcopy",))
    if environment.get("WAYLAND_DISPLAY"):
        found.append(("wl-copy",))
    if environment.get("DISPLAY"):
        found.append(("xclip", "-selection", "clipboard"))
        found.append(("xsel", "--clipboard", "--input"))
    return next((command for command in found if which(command[0])), None)


def copy_locally(text: str, command: tuple[str, ...] | None = None) -> bool:
    """Put a text on this machine's clipboard; returns whether there is a program for it. Bounded; call it in a thread.

    Raises:
        ClipboardFailed: the program did not end well within `PATIENCE_S`.
    """
    command = command or clipboard_program()
    if command is None:
        return False
    try:
        # xclip and wl-copy go on in the background and keep what they are given open: nothing of ours may be that.
        subprocess.run(
            command,
            input=text.encode("utf-8", "replace"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE_S,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise ClipboardFailed(f"{command[0]} did not answer in {PATIENCE_S:.0f} s") from error
    except (OSError, subprocess.CalledProcessError) as error:
        raise ClipboardFailed(f"{command[0]} did not take the text: {error}") from error
    return True
