"""vast.ai as a `Cloud`, and anything that speaks its HTTP surface."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    OfferGone,
    OfferQuery,
    OutcomeUnknown,
    Unauthorized,
)
from remote.offers import satisfying
from remote.vast import shapes
from remote.vast.errors import KEY_ADVICE, refusal, refused_change
from remote.vast.query import search_filters

if TYPE_CHECKING:
    from remote.vast.client import Client

DEFAULT_URL = "https://console.vast.ai"
RUNTYPE = "ssh_direc ssh_proxy"
"""SSH published on a port of the machine and through vast.ai's proxy, in the spelling that their own SDK sends."""
PAGE_ROWS = 25
PAGE_CHARGES = 500
SECONDS_PER_DAY = 86400
LOG_TRIES = 30
LOG_PAUSE_S = 0.3


class VastCloud:
    """Offers and instances of vast.ai. Every method is one or few blocking HTTP calls; threads may share it.

    The vastai package is imported by the first call (about a second), never by importing this module.
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
    ) -> None:
        self._name = name
        self._emulated = emulated
        self._api_key = api_key.strip()
        self._base_url = base_url.rstrip("/")
        self._audit = audit
        self._create_timeout_s = create_timeout_s
        self._read_timeout_s = read_timeout_s
        self._made: Client | None = None
        self._making = threading.Lock()

    @property
    def name(self) -> str:
        """`vast` or `local`."""
        return self._name

    @property
    def emulated(self) -> bool:
        """Whether the machines are emulated."""
        return self._emulated

    def search(self, query: OfferQuery) -> list[Offer]:
        """Rentable offers that satisfy `query`, cheapest full price first."""
        client = self._client()
        from remote.vast import api

        rows = _json_of(
            lambda: api.search_offers(
                client,
                query=search_filters(query),
                order=[["dph_total", "asc"]],
                limit=query.limit,
                storage=query.disk_gb,
                no_default=True,
            )
        )
        return satisfying(shapes.offers_of(rows, query.disk_gb), query)[: query.limit]

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
            answer = api.create_instance_from_payload(client, offer_id, payload)
        except ValueError as error:
            raise OutcomeUnknown("the cloud answered a create with something that is not JSON") from error
        rented = answer.get("new_contract") if isinstance(answer, dict) else None
        if isinstance(answer, dict) and answer.get("success") and rented is not None:
            return int(rented)
        code, message = (
            (str(answer.get("error") or ""), str(answer.get("msg") or "")) if isinstance(answer, dict) else ("", "")
        )
        if rented is not None:
            return self._drop_refused(int(rented), code, message)
        if isinstance(answer, dict) and answer.get("success") is False:
            raise refusal(code, message)
        raise OutcomeUnknown(f"the cloud answered a create without an instance: {str(answer)[:200]}")

    def instances(self, label: str | None = None) -> list[Instance]:
        """All instances of the account, or those with exactly this label."""
        filters: dict[str, Any] = {} if label is None else {"label": {"eq": label}}
        found = [shapes.instance_of(row) for row in self._rows(filters)]
        return [each for each in found if label is None or each.label == label]

    def instance(self, instance_id: int) -> Instance | None:
        """One instance, or None once the cloud no longer knows it."""
        client = self._client()
        try:
            body = _json_of(lambda: client.get(f"/instances/{instance_id}/", query_args={"owner": "me"}).json())
        except NoSuchInstance:
            return None
        rows = [row for row in shapes.instances_of(body) if int(row["id"]) == instance_id]
        if not rows:
            return None
        found = shapes.instance_of(rows[0])
        if found.status is InstanceStatus.RUNNING and not any(each.kind == "direct" for each in found.endpoints):
            # The port map of a running container is said to come from the list endpoint alone.
            listed = [row for row in self._rows({"id": {"eq": instance_id}}) if int(row["id"]) == instance_id]
            return shapes.instance_of(listed[0]) if listed else found
        return found

    def attach_key(self, instance_id: int, public_key: str) -> None:
        """Let `public_key` (one OpenSSH line) in."""
        self._change(
            instance_id, "attach a key", lambda client, api: api.attach_ssh(client, instance_id, public_key.strip())
        )

    def attached_keys(self, instance_id: int) -> list[str]:
        """The OpenSSH lines that the instance lets in."""
        client = self._client()
        return shapes.ssh_keys_of(_json_of(lambda: client.get(f"/instances/{instance_id}/ssh/").json()))

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
            found.extend(shapes.charges_of(body))
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
        answer = _json_of(lambda: client.put(f"/instances/request_logs/{instance_id}/", json_data=wanted).json())
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

        user = _json_of(lambda: api.show_user(client))
        return Account(str(user.get("email") or user.get("username") or ""), float(user.get("credit") or 0.0))

    def _client(self) -> Client:
        if not self._api_key:
            raise Unauthorized(f"there is no API key for {self._base_url}: {KEY_ADVICE}")
        with self._making:
            if self._made is None:
                self._made = self._make_client(self._api_key, self._base_url)
            return self._made

    def _make_client(self, api_key: str, base_url: str) -> Client:
        from remote.vast.client import Client

        return Client(
            api_key,
            base_url,
            read_timeout_s=self._read_timeout_s,
            create_timeout_s=self._create_timeout_s,
            audit=self._audit,
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
            body = _json_of(call)
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
            CloudError: it refused, with a status or with `success: false`.
        """
        client = self._client()
        from remote.vast import api

        refused = refused_change(_json_of(lambda: call(client, api)), f"{what} instance {instance_id}")
        if refused is not None:
            raise refused

    def _drop_refused(self, instance_id: int, code: str, message: str) -> int:
        """A create that says no but names an instance left a stopped one, which bills its disk."""
        try:
            self.destroy(instance_id)
        except CloudError as error:
            raise OutcomeUnknown(
                f"the cloud refused but left instance {instance_id}, and destroying it failed: {error}"
            ) from error
        raise OfferGone(
            f"the offer is gone ({message or code or 'refused'}); the stopped instance that it left was destroyed"
        )


def _json_of(call: Callable[[], Any]) -> Any:
    """The call's answer; one that is not JSON becomes an error of the domain."""
    import requests

    try:
        return call()
    except requests.exceptions.JSONDecodeError as error:
        raise CloudUnreachable("the cloud answered something that is not JSON; is the address right?") from error
    except (KeyError, TypeError) as error:
        raise CloudError(f"the cloud answered in an unknown shape: {error!r}") from error
