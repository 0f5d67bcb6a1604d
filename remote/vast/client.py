"""HTTP to vast.ai: the vastai package's client with our limits, our retries, our errors and an audit row per call.

Importing this module imports vastai (a quarter of a second, 30 MB): do it in a worker, and only when a call is made.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from remote.clock import SYSTEM_CLOCK, Clock
from remote.cloud import CloudError, CloudUnreachable, NotSent, OutcomeUnknown, RateLimited, SearchQuota
from remote.vast.api import VastClient, VastSession
from remote.vast.audit import AuditLog
from remote.vast.errors import error_of_response
from remote.vast.pacing import Pacer, endpoint_of
from remote.vast.redaction import redacted

CONNECT_TIMEOUT_S = 5.0
TRIES = 3
BACKOFF_S = 0.4
LONGEST_WAIT_S = 10.0
RETRIED_STATUS = frozenset({429, 502, 503, 504})
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Client(VastClient):  # type: ignore[misc]
    """`VastClient` that waits its turn, never sends a costly call twice, and raises errors of our domain.

    GET and DELETE are repeated, and searches, which read although they are sent as POST; nothing else is.
    """

    def __init__(
        self,
        api_key: str,
        server_url: str,
        *,
        read_timeout_s: float,
        create_timeout_s: float,
        audit: Path | None,
        pacer: Pacer | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(api_key=api_key, server_url=server_url, retry=1)
        self._read_timeout_s = read_timeout_s
        self._create_timeout_s = create_timeout_s
        self._audit = AuditLog(audit) if audit else None
        self._pacer = pacer
        self._clock = clock
        self._local = threading.local()

    @contextmanager
    def sending_while(self, still_wanted: Callable[[], bool]) -> Iterator[None]:
        """Within, a create of this thread raises NotSent when its turn comes and `still_wanted` says no."""
        self._local.still_wanted = still_wanted
        try:
            yield
        finally:
            del self._local.still_wanted

    def _request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        json_data: Any = None,
        timeout: float | None = None,
    ) -> requests.Response:
        path = urlsplit(url).path
        endpoint = endpoint_of(method, path)
        creates = method == "PUT" and "/asks/" in path and "/search/" not in path
        searches = path.endswith(("/bundles/", "/search/asks/"))
        repeatable = method in ("GET", "DELETE") or searches
        read_timeout_s = timeout or (self._create_timeout_s if creates else self._read_timeout_s)
        still_wanted = getattr(self._local, "still_wanted", None) if creates else None
        for attempt in range(1, TRIES + 1):
            last = attempt == TRIES or not repeatable
            waited_s = self._pacer.wait(endpoint) if self._pacer and endpoint else 0.0
            if still_wanted is not None and not still_wanted():
                raise NotSent("the request was given up before its create was sent: nothing was rented")
            try:
                response = self._send(method, url, headers, json_data, read_timeout_s, attempt, waited_s)
            except requests.exceptions.RequestException as error:
                if last or not _may_clear(error):
                    raise self._unanswered(error, method, path, repeatable) from None
                self._clock.sleep(_backoff_s(attempt))
                continue
            text = self.redacted(response.text)
            failure = error_of_response(
                method,
                path,
                response.status_code,
                text,
                response.headers,
                creates=creates,
                repeatable=repeatable,
                now=self._clock.time(),
            )
            if failure is None:
                return response
            wait_s = _wait_s(failure, attempt)
            if self._pacer and endpoint and isinstance(failure, RateLimited) and not isinstance(failure, SearchQuota):
                self._pacer.hold(endpoint, wait_s)
            if last or response.status_code not in RETRIED_STATUS or wait_s > LONGEST_WAIT_S:
                raise failure
            self._clock.sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    def redacted(self, text: str) -> str:
        """`text` without the API key: a server may say back what it was sent."""
        return redacted(text, self.api_key or "")

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Any,
        read_timeout_s: float,
        attempt: int,
        waited_s: float = 0.0,
    ) -> requests.Response:
        session = VastSession(self.server_url)
        if urlsplit(url).hostname in LOOPBACK:
            session.trust_env = False
        started = time.monotonic()
        status: int | str = "interrupted"
        try:
            with session:
                prepared = session.prepare_request(requests.Request(method, url, headers=dict(headers), json=body))
                response: requests.Response = session.send(prepared, timeout=(CONNECT_TIMEOUT_S, read_timeout_s))
                status = response.status_code
                return response
        except requests.exceptions.RequestException as error:
            status = type(error).__name__
            raise
        finally:
            if self._audit:
                self._audit.write(
                    method,
                    url,
                    body,
                    status,
                    elapsed_s=time.monotonic() - started,
                    waited_s=waited_s,
                    attempt=attempt,
                    secret=self.api_key or "",
                    ours=urlsplit(url).netloc == urlsplit(self.server_url).netloc,
                )

    def prepared(self, address: str, *, tries: int, pause_s: float) -> str | None:
        """The text that the cloud prepares under `address`, asked for without the key; None when it never comes."""
        for attempt in range(1, tries + 1):
            self._clock.sleep(pause_s)
            try:
                response = self._send("GET", address, {}, None, self._read_timeout_s, attempt)
            except requests.exceptions.RequestException:
                continue
            if response.status_code == 200:
                return str(response.text)
        return None

    def _unanswered(
        self, error: requests.exceptions.RequestException, method: str, path: str, repeatable: bool
    ) -> CloudError:
        host = urlsplit(self.server_url).netloc
        if not repeatable and not _was_never_sent(error):
            return OutcomeUnknown(
                f"{host} did not answer {method} {path} ({type(error).__name__}): it may have been done"
            )
        return CloudUnreachable(
            f"{host} does not answer ({type(error).__name__}); check the network, nothing was changed"
        )


def _may_clear(error: requests.exceptions.RequestException) -> bool:
    return isinstance(error, requests.exceptions.ConnectionError | requests.exceptions.Timeout)


def _was_never_sent(error: requests.exceptions.RequestException) -> bool:
    """Whether the connection failed before a byte of the request left."""
    from urllib3.exceptions import NameResolutionError, NewConnectionError

    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.InvalidURL):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NewConnectionError | NameResolutionError)


def _wait_s(failure: CloudError, attempt: int) -> float:
    told: float | None = getattr(failure, "retry_after_s", None)
    return told if told is not None else _backoff_s(attempt)


def _backoff_s(attempt: int) -> float:
    """Doubling, with half of it by chance, so that several consoles do not ask in step."""
    return float(BACKOFF_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.0))  # noqa: S311
