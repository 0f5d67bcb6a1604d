"""The instance that this box is, at the cloud that bills it: proven, stopped and destroyed with the key of its own."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remote.agent.deadman_order import DeadmanProof

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

DEFAULT_URL = "https://console.vast.ai"
CALL_LIMIT_S = 30.0
FIRST_PROCESS = Path("/proc/1/environ")
NAMES = ("CONTAINER_ID", "CONTAINER_API_KEY", "VAST_URL")
SECRET_NAMES = ("CONTAINER_API_KEY",)
STOPPED = ("stopped", "exited")
UNKNOWN_CODES = ("no_such_instance", "not_found", "invalid_id")
"""What the cloud says of an instance that is gone. A 404 without one of them is a proxy's, or a page's."""


class NoOwnKey(Exception):
    """The box was not told which instance it is, or has no key to end itself."""


@dataclass(frozen=True)
class Reply:
    """The cloud's answer; `http_status` is None when there was none."""

    http_status: int | None
    body: Any
    text: str

    @property
    def accepted(self) -> bool:
        """Whether it did what was asked."""
        refused = isinstance(self.body, dict) and self.body.get("success") is False
        return self.http_status is not None and 200 <= self.http_status < 300 and not refused

    @property
    def unknown_instance(self) -> bool:
        """Whether the cloud itself says that there is no such instance."""
        return self.http_status == 404 and isinstance(self.body, dict) and self.body.get("error") in UNKNOWN_CODES

    def __str__(self) -> str:
        return f"HTTP {self.http_status}: {self.text}" if self.http_status is not None else self.text


@dataclass(frozen=True)
class OwnInstance:
    """One instance and its own key."""

    instance_id: str
    url: str
    key: str = field(repr=False)

    @classmethod
    def of_this_box(cls, environment: Mapping[str, str] | None = None, first: Path = FIRST_PROCESS) -> OwnInstance:
        """From the environment of this process, else of the container's first.

        Raises:
            NoOwnKey: neither has them.
        """
        known = {**_environ_of(first), **(os.environ if environment is None else environment)}
        missing = [name for name in NAMES[:2] if not known.get(name)]
        if missing:
            raise NoOwnKey(f"{' and '.join(missing)} stand neither in the login's environment nor in {first}")
        instance_id = known["CONTAINER_ID"].strip()
        if not instance_id.isdigit():
            raise NoOwnKey(f"CONTAINER_ID is no instance's id: {instance_id!r}")
        url = (known.get("VAST_URL") or DEFAULT_URL).rstrip("/")
        if not url.startswith(("https://", "http://")):
            raise NoOwnKey(f"VAST_URL is no address: {url!r}")
        return cls(instance_id, url, known["CONTAINER_API_KEY"].strip())

    def prove(self) -> DeadmanProof:
        """Ask for what is so anyway (that it runs): whoever may do that may also stop and destroy it."""
        reply = self._call("PUT", {"state": "running"})
        return DeadmanProof(reply.accepted, time.time(), reply.http_status, str(reply))

    def ask(self, action: str) -> Reply:
        """Ask for `destroy` or `stop`, once."""
        return self._call("DELETE", {}) if action == "destroy" else self._call("PUT", {"state": "stopped"})

    def is_over(self, action: str, asked: Reply, accepted_before: bool) -> bool:
        """Whether the cloud confirms the end: it no longer knows the instance, or calls it stopped.

        A key dies with its instance: once a destroy was accepted, a key that is unknown says the same.
        """
        seen = self._call("GET", None) if asked.accepted else asked
        if seen.unknown_instance:
            return True
        if seen.http_status == 401 and isinstance(seen.body, dict):
            return action == "destroy" and (accepted_before or asked.accepted)
        if not asked.accepted or not seen.accepted or not isinstance(seen.body, dict) or "instances" not in seen.body:
            return False
        row = seen.body["instances"]
        return row is None or (action == "stop" and isinstance(row, dict) and row.get("actual_status") in STOPPED)

    def _call(self, method: str, body: dict[str, Any] | None) -> Reply:
        import urllib.error  # 50 ms that only this process should spend
        import urllib.request

        request = urllib.request.Request(  # noqa: S310 - `of_this_box` lets http and https pass
            f"{self.url}/api/v0/instances/{self.instance_id}/",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.key}",
                "Accept": "application/json",
                "Content-Type": "application/json",
                "User-Agent": "spotter-deadman",
            },
        )
        try:
            with _opener(self.url).open(request, timeout=CALL_LIMIT_S) as answer:
                return self._reply(answer.status, answer.read(1 << 20))
        except urllib.error.HTTPError as error:
            return self._reply(error.code, error.read(1 << 20))
        except Exception as error:  # noqa: BLE001 - http.client raises many kinds; the next attempt comes anyway
            return Reply(None, None, self._without_key(f"{self.url} does not answer: {error}"))

    def _reply(self, http_status: int, data: bytes) -> Reply:
        text = data.decode("utf-8", "replace")
        try:
            body = json.loads(text)
        except ValueError:
            body = None
        told = body.get("msg") if isinstance(body, dict) and body.get("msg") else text
        return Reply(http_status, body, self._without_key(" ".join(str(told).split())[:200]))

    def _without_key(self, text: str) -> str:
        return text.replace(self.key, "…") if self.key else text


def _opener(url: str) -> OpenerDirector:
    """A proxy of the environment is used for everything but loopback."""
    import urllib.parse
    import urllib.request

    if urllib.parse.urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1"):
        return urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener()


def _environ_of(path: Path) -> dict[str, str]:
    try:
        entries = path.read_bytes().split(b"\0")
    except OSError:  # no /proc, or another user's process
        return {}
    pairs = (entry.decode("utf-8", "replace").partition("=") for entry in entries)
    return {name: value for name, _, value in pairs if name in NAMES}
