"""A page with a secret is opened without the secret in any command line."""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from console.operations.browser import has_browser, one_time_door, open_in_browser

TARGET = "http://127.0.0.1:9/lab?token=hunter2"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: object) -> None:
        """Let the redirect be seen."""


def ask(url: str) -> tuple[int, str | None]:
    try:
        with urllib.request.build_opener(_NoRedirect).open(url, timeout=60) as answer:
            return answer.status, None
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Location"]
    except OSError:
        return 0, None


def test_the_door_leads_on_once_and_only_who_knows_its_path() -> None:
    door = one_time_door(TARGET)
    assert "hunter2" not in door
    assert ask(door.rpartition("/")[0] + "/guessed") == (404, None)
    assert ask(door) == (302, TARGET)
    assert ask(door)[0] in (0, 404)


def test_the_browsers_command_line_has_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = tmp_path / "argv"
    browser = tmp_path / "browser"
    browser.write_text(f'#!{sys.executable}\nimport sys\nopen({str(seen)!r}, "w").write(" ".join(sys.argv[1:]))\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    monkeypatch.setattr("webbrowser._tryorder", None)
    assert open_in_browser(TARGET)
    deadline = time.monotonic() + 60
    while not (seen.exists() and seen.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert seen.read_text().startswith("http://127.0.0.1:")
    assert "hunter2" not in seen.read_text()
    assert ask(seen.read_text()) == (302, TARGET)


def test_without_a_screen_no_browser_takes_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert not has_browser()
    assert not open_in_browser(TARGET)
