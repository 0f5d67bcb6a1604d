"""vast.ai as a `Cloud`, and anything that speaks its HTTP surface."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remote.cloud import (
    Account,
    CloudError,
    CloudUnreachable,
    Instance,
    InstanceSpec,
    InstanceStatus,
    Offer,
    OfferGone,
    OfferQuery,
    OutcomeUnknown,
    Unauthorized,
)
from remote.offers import NOMINAL_GB_IN_MB, satisfying
from remote.vast import shapes
from remote.vast.errors import KEY_ADVICE, NotFound, refusal

if TYPE_CHECKING:
    from remote.vast.client import Client

DEFAULT_URL = "https://console.vast.ai"
RUNTYPE = "ssh_direc ssh_proxy"
"""SSH published on a port of the machine and through vast.ai's proxy, in the spelling that their own SDK sends."""
PAGE_ROWS = 25


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
                query=_filters(query),
                order=[["dph_total", "asc"]],
                limit=query.limit,
                storage=query.disk_gb,
                no_default=True,
            )
        )
        return satisfying(shapes.offers_of(rows, query.disk_gb), query)

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
        except NotFound:
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
        client = self._client()
        from remote.vast import api

        _json_of(lambda: api.attach_ssh(client, instance_id, public_key.strip()))

    def attached_keys(self, instance_id: int) -> list[str]:
        """The OpenSSH lines that the instance lets in."""
        client = self._client()
        return shapes.ssh_keys_of(_json_of(lambda: client.get(f"/instances/{instance_id}/ssh/").json()))

    def destroy(self, instance_id: int) -> None:
        """Ask for destruction; an instance that is already gone is no error. Confirm with `instance`."""
        client = self._client()
        from remote.vast import api

        try:
            _json_of(lambda: api.destroy_instance(client, instance_id))
        except NotFound:
            return

    def logs(self, instance_id: int, tail: int = 200) -> str:
        """The container's log as the cloud kept it."""
        client = self._client()
        import requests

        from remote.vast import api

        try:
            answer = _json_of(lambda: api.logs(client, instance_id, tail=str(tail)))
        except (TimeoutError, requests.exceptions.RequestException) as error:
            raise CloudUnreachable(f"the log of instance {instance_id} did not become ready; ask again") from error
        return answer if isinstance(answer, str) else ""

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

        rows: list[shapes.Row] = []
        parameters: dict[str, Any] = {
            "select_filters": filters,
            "order_by": [{"col": "id", "dir": "asc"}],
            "limit": PAGE_ROWS,
        }
        while True:
            body = _json_of(lambda: api.show_instances_v1(client, parameters))
            rows.extend(shapes.instances_of(body))
            token = body.get("next_token") if isinstance(body, dict) else None
            if not token:
                return rows
            parameters["after_token"] = token

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


def _filters(query: OfferQuery) -> dict[str, Any]:
    """`query` in the market's language; memory is asked in MB."""
    wanted: dict[str, Any] = {
        "rentable": {"eq": True},
        "rented": {"eq": False},
        "external": {"eq": False},
        "num_gpus": {"eq": query.gpu_count},
        "disk_space": {"gte": query.disk_gb},
    }
    optional: list[tuple[str, str, Any]] = [
        ("verified", "eq", True if query.verified else None),
        ("gpu_name", "in", list(query.gpu_names) or None),
        ("gpu_ram", "gte", _mb(query.min_gpu_ram_gb)),
        ("cpu_cores_effective", "gte", query.min_cpu_cores),
        ("cpu_ram", "gte", _mb(query.min_ram_gb)),
        ("reliability", "gte", query.min_reliability),
        ("inet_down", "gte", query.min_download_mbps),
    ]
    for field, operator, value in optional:
        if value is not None:
            wanted[field] = {operator: value}
    return wanted


def _mb(nominal_gb: float | None) -> float | None:
    return None if nominal_gb is None else nominal_gb * NOMINAL_GB_IN_MB


def _json_of(call: Any) -> Any:
    """The call's answer; one that is not JSON becomes an error of the domain."""
    import requests

    try:
        return call()
    except requests.exceptions.JSONDecodeError as error:
        raise CloudUnreachable("the cloud answered something that is not JSON; is the address right?") from error
    except (KeyError, TypeError) as error:
        raise CloudError(f"the cloud answered in an unknown shape: {error!r}") from error
