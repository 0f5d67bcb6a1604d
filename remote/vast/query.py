"""A query in the market's language: `{field: {operator: value}}`."""

from __future__ import annotations

from typing import Any

from remote.cloud import OfferQuery
from remote.offers import NOMINAL_GB_IN_MB


def search_filters(query: OfferQuery) -> dict[str, Any]:
    """What the market can filter itself, so that its `limit` is spent on offers that may fit; memory is asked in MB.

    All of it is tested again in `remote.offers`, and the full price and the card's CUDA there alone.
    """
    wanted: dict[str, Any] = {
        "rentable": {"eq": True},
        "rented": {"eq": False},
        "external": {"eq": False},
        "num_gpus": {"eq": query.gpu_count},
        "disk_space": {"gte": query.disk_gb},
    }
    optional: list[tuple[str, str, Any]] = [
        ("id", "eq", query.offer_id),
        ("verified", "eq", True if query.verified else None),
        ("gpu_name", "in", list(query.gpu_names) or None),
        ("gpu_ram", "gte", _mb(query.min_gpu_ram_gb)),
        ("cpu_cores_effective", "gte", query.min_cpu_cores),
        ("cpu_ram", "gte", _mb(query.min_ram_gb)),
        ("reliability", "gte", query.min_reliability),
        ("inet_down", "gte", query.min_download_mbps),
        ("inet_up", "gte", query.min_upload_mbps),
        ("direct_port_count", "gte", query.min_open_ports),
        ("duration", "gte", query.min_duration_s),
        ("cuda_max_good", "gte", query.image_cuda),
        ("machine_id", "notin", sorted(query.excluded_machines) or None),
    ]
    for field, operator, value in optional:
        if value is not None:
            wanted[field] = {operator: value}
    return wanted


def _mb(nominal_gb: float | None) -> float | None:
    return None if nominal_gb is None else nominal_gb * NOMINAL_GB_IN_MB
