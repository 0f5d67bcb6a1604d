"""vast.ai's JSON as our values. Sources disagree about some shapes: every one that was seen is accepted."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from typing import Any, Literal

from remote.cloud import DAYS_PER_MONTH, HOURS_PER_DAY, Charge, Endpoint, Instance, InstanceStatus, Offer

Row = Mapping[str, Any]
ROUNDING_USD = 1e-6
LOG = logging.getLogger(__name__)


def offers_of(body: Any, storage_gb: float) -> list[Offer]:
    """The offers of a search's answer: `{"offers": [...]}`, one offer in place of the list, or a bare list or offer."""
    rows = body["offers"] if isinstance(body, Mapping) and "offers" in body else body
    if isinstance(rows, Mapping):
        rows = [rows] if rows else []
    return [offer_of(row, storage_gb) for row in rows or ()]


def offer_of(row: Row, storage_gb: float) -> Offer:
    """One offer. `dph_total` holds the disk that the search was priced with; our price is told apart from it."""
    storage = _number(row, "storage_cost")
    base = row.get("dph_base")
    if base is None:
        base = _number(row, "dph_total") - storage * storage_gb / (DAYS_PER_MONTH * HOURS_PER_DAY)
    return Offer(
        id=int(row["id"]),
        machine_id=int(_number(row, "machine_id")),
        host_id=int(_number(row, "host_id")),
        gpu_name=_text(row, "gpu_name"),
        gpu_count=int(_number(row, "num_gpus", 1)),
        gpu_ram_mb=int(_number(row, "gpu_ram")),
        compute_capability=int(_number(row, "compute_cap")),
        cuda_max=_number(row, "cuda_max_good"),
        cpu_name=_text(row, "cpu_name"),
        cpu_cores=_number(row, "cpu_cores_effective") or _number(row, "cpu_cores"),
        ram_mb=int(_number(row, "cpu_ram")),
        disk_gb=_number(row, "disk_space"),
        disk_name=_text(row, "disk_name"),
        gpu_usd_per_hour=float(base),
        storage_usd_per_gb_month=storage,
        download_usd_per_gb=_number(row, "inet_down_cost"),
        upload_usd_per_gb=_number(row, "inet_up_cost"),
        download_mbps=_number(row, "inet_down"),
        upload_mbps=_number(row, "inet_up"),
        location=_text(row, "geolocation"),
        reliability=_number(row, "reliability2") or _number(row, "reliability"),
        verified=bool(row.get("verified")) or row.get("verification") == "verified",
        rentable=bool(row.get("rentable")) and not row.get("rented"),
        open_ports=int(_number(row, "direct_port_count")),
        max_duration_s=_number(row, "duration"),
        dlperf=_number(row, "dlperf"),
    )


def instances_of(body: Any) -> list[Row]:
    """The rows of a list or show answer: `{"instances": [...]}`, one dict, null, or a bare list."""
    rows = body["instances"] if isinstance(body, Mapping) else body
    if rows is None:
        return []
    return [rows] if isinstance(rows, Mapping) else list(rows)


def instance_of(row: Row) -> Instance:
    """One instance with every endpoint that its row names.

    Only its id must be readable: whatever else is odd is told and left out, for a row that nobody can read is a
    machine that nobody can destroy.
    """
    return Instance(
        id=int(row["id"]),
        machine_id=int(_figure(row, "machine_id")),
        label=_text(row, "label"),
        status=_status(row.get("actual_status")),
        intended_status=_text(row, "intended_status"),
        status_message=_text(row, "status_msg"),
        gpu_name=_text(row, "gpu_name"),
        gpu_count=int(_figure(row, "num_gpus", 1)),
        gpu_ram_mb=int(_figure(row, "gpu_ram")),
        disk_gb=_figure(row, "disk_space"),
        usd_per_hour=_figure(row, "dph_total"),
        image=_text(row, "image_uuid"),
        location=_text(row, "geolocation"),
        started_at=_figure(row, "start_date") or None,
        endpoints=endpoints_of(row),
        download_mbps=_figure(row, "inet_down"),
        ends_at=_figure(row, "end_date") or None,
        download_usd_per_gb=_figure(row, "inet_down_cost"),
        upload_usd_per_gb=_figure(row, "inet_up_cost"),
    )


def endpoints_of(row: Row) -> tuple[Endpoint, ...]:
    """Direct (published port 22 on the machine's address) first, then vast.ai's proxy.

    A jupyter image's proxy takes SSH one port above the one that the row names.
    """
    found = []
    direct = _published_port(row.get("ports"))
    address = _text(row, "public_ipaddr")
    if direct is not None and address:
        found.append(_endpoint("direct", address, direct))
    host, port = _text(row, "ssh_host"), _port(row.get("ssh_port"))
    if host and port is not None:
        offset = 1 if "jupyter" in _text(row, "image_runtype") else 0
        found.append(_endpoint("proxy", host, port + offset))
    return tuple(found)


def ssh_keys_of(body: Any) -> list[str]:
    """OpenSSH lines of an instance or account: a list, or a JSON string of one; of lines, or of dicts that hold one."""
    keys = body.get("ssh_keys", body.get("keys")) if isinstance(body, Mapping) else body
    if isinstance(keys, str):
        keys = json.loads(keys) if keys.strip() else []
    lines = []
    for key in keys or ():
        line = key if isinstance(key, str) else key.get("public_key") or key.get("ssh_key") or key.get("key")
        if line:
            lines.append(str(line).strip())
    return lines


def charges_of(body: Any) -> list[Charge]:
    """What was billed for instances: `{"results": [{"source": "instance-7", "amount": …, "items": [...]}]}`.

    An amount that its items do not explain is kept under `other`, so that `Charge.usd` is what the cloud says.
    """
    rows = body.get("results") if isinstance(body, Mapping) else body
    found = []
    for row in rows or ():
        kind, _, number = _text(row, "source").partition("-")
        if kind != "instance" or not number.isdigit():
            continue
        usd_by_kind: dict[str, float] = {}
        for item in row.get("items") or ():
            name = _text(item, "type") or "other"
            usd_by_kind[name] = usd_by_kind.get(name, 0.0) + _number(item, "amount")
        unexplained = _number(row, "amount") - sum(usd_by_kind.values())
        if abs(unexplained) > ROUNDING_USD or not usd_by_kind:
            usd_by_kind["other"] = usd_by_kind.get("other", 0.0) + unexplained
        found.append(Charge(int(number), _text(row.get("metadata") or {}, "label"), usd_by_kind))
    return found


def _endpoint(kind: Literal["direct", "proxy"], host: str, port: int) -> Endpoint:
    return Endpoint(kind, host, port)


def _published_port(ports: Any) -> int | None:
    bindings = ports.get("22/tcp") if isinstance(ports, Mapping) else None
    if not bindings:
        return None
    binding = bindings[0] if isinstance(bindings, list) else bindings
    return _port(binding.get("HostPort")) if isinstance(binding, Mapping) else None


def _port(value: Any) -> int | None:
    """A port that a row names; None when it names none, or something else."""
    text = str(value).strip()
    return int(text) if text.isdecimal() and int(text) > 0 else None


def _status(actual: Any) -> InstanceStatus:
    if actual is None or actual == "":
        return InstanceStatus.PROVISIONING
    try:
        return InstanceStatus(str(actual).strip())
    except ValueError:
        return InstanceStatus.UNKNOWN


def _number(row: Row, name: str, default: float = 0.0) -> float:
    value = row.get(name)
    return default if value is None else float(value)


def _figure(row: Row, name: str, default: float = 0.0) -> float:
    """A number of an instance's row; one that is none is told, and taken for the default."""
    try:
        number = _number(row, name, default)
    except (TypeError, ValueError):
        number = math.nan
    if math.isfinite(number):
        return number
    LOG.warning("instance %s: the cloud says %.60r for its %s, which is no number", row["id"], row.get(name), name)
    return default


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value).strip()
