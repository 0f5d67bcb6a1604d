"""vast.ai as a `Cloud`, and anything that speaks its HTTP surface."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from remote.clock import SYSTEM_CLOCK, Clock
from remote.cloud import (
    Account,
    Charge,
    CloudError,
    CloudUnreachable,
    Instance,
    InstanceSpec,
    InstanceStatus,
    NoSuchInstance,
    Offer,
    OfferQuery,
    OutcomeUnknown,
    Unauthorized,
)
from remote.offers import satisfying
from remote.vast import shapes
from remote.vast.errors import KEY_ADVICE, refusal, refused_change
from remote.vast.pacing import Pacer, account_file
from remote.vast.query import search_filters

if TYPE_CHECKING:
    from remote.vast.client import Client

T = TypeVar("T")
DEFAULT_URL = "https://console.vast.ai"
RUNTYPE = "ssh_direc ssh_proxy"
"""SSH published on a port of the machine and through vast.ai's proxy, in the spelling that their own SDK sends."""
LEAST_OFFER_ROWS = 200
PAGE_ROWS = 25
PAGE_CHARGES = 500
SECONDS_PER_DAY = 86400
LOG_TRIES = 30
LOG_PAUSE_S = 0.3


class VastCloud:
    """Offers and instances of vast.ai. Every method is one or few blocking HTTP calls; threads may share it.

    The vastai package is imported by the first call (a quarter of a second), never by importing this module.
    """

    def __init__(
        self,
        api_key: str,
        base_url: str = DEFAULT_URL,
        *,
        name: str = "vast",
        emulated: bool = False,
        audit: Path | None = None,
        create_timeout_s: float = 60.0,
        read_timeout_s: float = 20.0,
        pacer: Pacer | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Nothing is asked yet.

        Args:
            api_key: of the account; an empty one is refused at the first call.
            base_url: where the API is.
            name: `vast`, `local`, or another that the ledger keeps its rows under.
            emulated: whether the machines are.
            audit: a file that gets one line per call.
            create_timeout_s: how long an answer to a create is waited for.
            read_timeout_s: likewise for every other call.
            pacer: keeps the calls apart. None: the account's own on vast.ai, none on loopback.
            clock: whose seconds are waited.
        """
        self._name = name
        self._emulated = emulated
        self._api_key = api_key.strip()
        self._base_url = base_url.rstrip("/")
        self._audit = audit
        self._create_timeout_s = create_timeout_s
        self._read_timeout_s = read_timeout_s
        self._pacer = pacer
        self._clock = clock
        self._made: Client | None = None
        self._making = threading.Lock()

    @property
    def name(self) -> str:
        """Under which the ledger keeps its rows."""
        return self._name

    @property
    def emulated(self) -> bool:
        """Whether the machines are emulated."""
        return self._emulated

    def search(self, query: OfferQuery) -> list[Offer]:
        """Rentable offers that satisfy `query`, the least expected cost first.

        More rows are asked for than `query.limit`: what the market cannot filter is filtered here.
        """
        client = self._client()
        from remote.vast import api

        def ask() -> list[Offer]:
            rows = api.search_offers(
                client,
                query=search_filters(query),
                order=[["dph_total", "asc"]],
                limit=max(query.limit, LEAST_OFFER_ROWS),
                storage=query.disk_gb,
                no_default=True,
            )
            return shapes.offers_of(rows, query.disk_gb)

        return satisfying(_read(ask), query)[: query.limit]

    def create(self, offer_id: int, spec: InstanceSpec) -> int:
        """Rent; returns the instance's id. Sent once, never retried.

        `cancel_unavail` is always set: without it an offer that is gone becomes a stopped instance that bills its disk.
        """
        client = self._client()
        from remote.vast import api

        payload = api.build_create_instance_payload(
            image=spec.image,
            disk=spec.disk_gb,
            env=dict(spec.environment),
            label=spec.label,
            onstart_cmd=spec.onstart or None,
            cancel_unavail=True,
            runtype=RUNTYPE,
        )
        try:
            with client.sending_while(spec.still_wanted):
                answer = api.create_instance_from_payload(client, offer_id, payload)
        except ValueError as error:
            raise OutcomeUnknown("the cloud answered a create with something that is not JSON") from error
        said = answer if isinstance(answer, dict) else {}
        rented = said.get("new_contract")
        if said.get("success") and rented is not None:
            return int(rented)
        code, message = str(said.get("error") or ""), client.redacted(str(said.get("msg") or ""))
        if rented is not None:  # a stopped instance, which bills its disk
            raise OutcomeUnknown(
                f"the cloud refused ({message or code or 'without a reason'}) but left instance {rented}", int(rented)
            )
        if said.get("success") is False:
            raise refusal(code, message)
        raise OutcomeUnknown(f"the cloud answered a create without an instance (it named {sorted(said) or 'nothing'})")

    def instances(self, label: str | None = None) -> list[Instance]:
        """All instances of the account, or those with exactly this label."""
        filters: dict[str, Any] = {} if label is None else {"label": {"eq": label}}
        found = _read(lambda: [shapes.instance_of(row) for row in self._rows(filters)])
        return [each for each in found if label is None or each.label == label]

    def instance(self, instance_id: int) -> Instance | None:
        """One instance, or None once the cloud no longer knows it."""
        client = self._client()

        def ask() -> Instance | None:
            body = client.get(f"/instances/{instance_id}/", query_args={"owner": "me"}).json()
            return _the_one(shapes.instances_of(body), instance_id)

        try:
            found = _read(ask)
        except NoSuchInstance:
            return None
        if (
            found is None
            or found.status is not InstanceStatus.RUNNING
            or any(e.kind == "direct" for e in found.endpoints)
        ):
            return found
        # The port map of a running container is said to come from the list endpoint alone.
        return _read(lambda: _the_one(self._rows({"id": {"eq": instance_id}}), instance_id)) or found

    def attach_key(self, instance_id: int, public_key: str) -> None:
        """Let `public_key` (one OpenSSH line) in."""
        self._change(
            instance_id, "attach a key", lambda client, api: api.attach_ssh(client, instance_id, public_key.strip())
        )

    def attached_keys(self, instance_id: int) -> list[str]:
        """The OpenSSH lines that the instance lets in."""
        client = self._client()
        return _read(lambda: shapes.ssh_keys_of(client.get(f"/instances/{instance_id}/ssh/").json()))

    def reboot(self, instance_id: int) -> None:
        """Restart the container on the same disk; its ports may change. Raises NoSuchInstance."""
        self._change(instance_id, "reboot", lambda client, api: api.reboot_instance(client, instance_id))

    def recycle(self, instance_id: int) -> None:
        """Make the container anew on the same machine: everything on its disk is lost. Raises NoSuchInstance."""
        self._change(instance_id, "recycle", lambda client, api: api.recycle_instance(client, instance_id))

    def stop(self, instance_id: int) -> None:
        """End the GPU's bill, keep the disk and its bill. Raises NoSuchInstance."""
        self._change(instance_id, "stop", lambda client, api: api.stop_instance(client, instance_id))

    def start(self, instance_id: int) -> None:
        """Let a stopped instance run again, when its GPU is still free; ports may change. Raises NoSuchInstance."""
        self._change(instance_id, "start", lambda client, api: api.start_instance(client, instance_id))

    def label(self, instance_id: int, label: str) -> None:
        """Name an instance anew. Raises NoSuchInstance."""
        self._change(instance_id, "label", lambda client, api: api.label_instance(client, instance_id, label))

    def charges(self, since: float, until: float) -> list[Charge]:
        """What the cloud billed within [since, until] (unix seconds); `since` is taken back to its midnight in UTC.

        Bills are kept by the day, and a day is dated by its beginning: a later `since` would leave its own day out.
        """
        client = self._client()
        day = {"gte": int(since // SECONDS_PER_DAY * SECONDS_PER_DAY), "lte": math.ceil(until)}
        parameters: dict[str, Any] = {
            "select_filters": {"day": day, "type": {"in": ["instance"]}},
            "limit": PAGE_CHARGES,
        }
        found: list[Charge] = []
        for body in self._pages(lambda: client.get("/charges/", query_args=parameters).json(), parameters):
            found.extend(_read(partial(shapes.charges_of, body)))
        return found

    def destroy(self, instance_id: int) -> None:
        """Ask for destruction; an instance that is already gone is no error. Confirm with `instance`."""
        try:
            self._change(instance_id, "destroy", lambda client, api: api.destroy_instance(client, instance_id))
        except NoSuchInstance:
            return

    def logs(self, instance_id: int, tail: int = 200) -> str:
        """The container's log as the cloud kept it: it is prepared under an address that works a moment later."""
        client = self._client()
        wanted = {"tail": str(tail)}
        answer = _read(lambda: client.put(f"/instances/request_logs/{instance_id}/", json_data=wanted).json())
        address = answer.get("result_url") if isinstance(answer, dict) else None
        if not address:
            raise CloudUnreachable(f"the cloud prepared no log of instance {instance_id}; ask again")
        text = client.prepared(str(address), tries=LOG_TRIES, pause_s=LOG_PAUSE_S)
        if text is None:
            raise CloudUnreachable(f"the log of instance {instance_id} did not become ready; ask again")
        return text

    def account(self) -> Account:
        """Who pays, and what is left."""
        client = self._client()
        from remote.vast import api

        def ask() -> Account:
            user = api.show_user(client)
            name, number = str(user.get("email") or user.get("username") or ""), user.get("id")
            identity = f"user {number} of {urlsplit(self._base_url).hostname}" if number and not self._emulated else ""
            return Account(name, float(user.get("credit") or 0.0), identity)

        return _read(ask)

    def _client(self) -> Client:
        if not self._api_key:
            raise Unauthorized(f"there is no API key for {self._base_url}: {KEY_ADVICE}")
        with self._making:
            if self._made is None:
                self._made = self._make_client(self._api_key, self._base_url)
            return self._made

    def _make_client(self, api_key: str, base_url: str) -> Client:
        from remote.vast.client import LOOPBACK, Client

        pacer = self._pacer
        if pacer is None and urlsplit(base_url).hostname not in LOOPBACK:
            pacer = Pacer(account_file(api_key), self._clock)
        return Client(
            api_key,
            base_url,
            read_timeout_s=self._read_timeout_s,
            create_timeout_s=self._create_timeout_s,
            audit=self._audit,
            pacer=pacer,
            clock=self._clock,
        )

    def _rows(self, filters: dict[str, Any]) -> list[shapes.Row]:
        client = self._client()
        from remote.vast import api

        parameters: dict[str, Any] = {
            "select_filters": filters,
            "order_by": [{"col": "id", "dir": "asc"}],
            "limit": PAGE_ROWS,
        }
        pages = self._pages(lambda: api.show_instances_v1(client, parameters), parameters)
        return [row for body in pages for row in shapes.instances_of(body)]

    def _pages(self, call: Callable[[], Any], parameters: dict[str, Any]) -> Iterator[Any]:
        """Every page of an answer; `parameters`, which `call` sends, is told where the next one begins."""
        seen: set[str] = set()
        while True:
            body = _read(call)
            yield body
            token = body.get("next_token") if isinstance(body, dict) else None
            if not token or token in seen:
                return
            seen.add(token)
            parameters["after_token"] = token

    def _change(self, instance_id: int, what: str, call: Callable[[Client, Any], Any]) -> None:
        """Send a change of an instance once; `call` gets the client and the functions of vastai.

        Raises:
            NoSuchInstance: the cloud does not know it.
            OutcomeUnknown: it may have been done.
            CloudError: it refused, with a status or with `success: false`.
        """
        client = self._client()
        from remote.vast import api

        try:
            answer = call(client, api)
        except ValueError as error:
            raise OutcomeUnknown(f"{what} instance {instance_id}: the cloud's answer is not JSON") from error
        refused = refused_change(answer, f"{what} instance {instance_id}", client.redacted)
        if refused is not None:
            raise refused


def _the_one(rows: list[shapes.Row], instance_id: int) -> Instance | None:
    """The row of this instance: an answer may hold others, or none."""
    return next((shapes.instance_of(row) for row in rows if int(row["id"]) == instance_id), None)


def _read(call: Callable[[], T]) -> T:
    """What `call` asks and reads; an answer that is not JSON, or has a shape that nobody saw, becomes our error."""
    import requests

    try:
        return call()
    except requests.exceptions.JSONDecodeError as error:
        raise CloudUnreachable("the cloud answered something that is not JSON; is the address right?") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CloudError(f"the cloud answered in an unknown shape: {error!r}") from error
