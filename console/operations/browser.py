"""Open a page in the operator's browser without its secret in any command line."""

from __future__ import annotations

import http.server
import os
import secrets
import sys
import threading
import webbrowser

DOOR_LIMIT_S = 60.0


class _Door(http.server.ThreadingHTTPServer):
    """Serves one address once: a redirect to where the secret is. What stood in the browser's command line is spent."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Redirect)
        self.path = f"/{secrets.token_urlsafe(16)}"
        self.target: str | None = target
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """The address that works once."""
        return f"http://127.0.0.1:{self.server_port}{self.path}"


class _Redirect(http.server.BaseHTTPRequestHandler):
    server: _Door

    def do_GET(self) -> None:
        """The target for the first who knows the path."""
        with self.server.lock:
            target = self.server.target if self.path == self.server.path else None
            if target is not None:
                self.server.target = None
        if target is None:
            self.send_error(404)
            return
        self.send_response(302)
        self.send_header("Location", target)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        threading.Thread(target=self.server.shutdown, daemon=True).start()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (the base class's name)
        """Say nothing: the terminal belongs to the operator."""


def has_browser() -> bool:
    """Whether there is a screen to open a browser on; a browser in the terminal would take the console's place."""
    if os.environ.get("BROWSER") or sys.platform == "darwin":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_in_browser(url: str) -> bool:
    """Open `url`, which may hold a token; False when there is no browser to open it in."""
    if not has_browser():
        return False
    door = one_time_door(url)
    return webbrowser.open(door)


def one_time_door(target: str) -> str:
    """An address of this machine's loopback that leads to `target` once, within a minute."""
    door = _Door(target)

    def serve() -> None:
        closing = threading.Timer(DOOR_LIMIT_S, door.shutdown)
        closing.daemon = True
        closing.start()
        door.serve_forever(poll_interval=0.1)
        closing.cancel()
        door.server_close()

    threading.Thread(target=serve, name="one-time-door", daemon=True).start()
    return door.url
