"""Offers and instances as vast.ai's API shows them, with every field that its own command line asks for."""

from __future__ import annotations

from typing import Any

from remote.localcloud.box.settings import BoxStatus
from remote.localcloud.catalogue import DAY_S, Machine
from remote.localcloud.store import Contract

HOURS_PER_MONTH = 720.0
NOT_YET = -1
HAS_PORTS = frozenset({"running", "offline", "unknown"})
"""States in which the row goes on to name the ports."""


def disk_usd_per_hour(machine: Machine, disk_gb: float) -> float:
    """What the disk costs while it exists, whether the instance runs or not."""
    return machine.host.storage_usd_per_gb_month * disk_gb / HOURS_PER_MONTH


def machine_row(machine: Machine, storage_gb: float) -> dict[str, Any]:
    """What offers and instances have in common, priced with `storage_gb` of disk."""
    card, host = machine.gpu, machine.host
    disk = disk_usd_per_hour(machine, storage_gb)
    total = machine.usd_per_hour + disk
    dlperf = card.dlperf * machine.gpu_count
    return {
        "emulated": True,
        "machine_id": machine.machine_id,
        "host_id": host.id,
        "hosting_type": 0,
        "datacenter": False,
        "cluster_id": None,
        "num_gpus": machine.gpu_count,
        "gpu_name": card.name,
        "gpu_ram": card.ram_mb,
        "gpu_total_ram": card.ram_mb * machine.gpu_count,
        "gpu_arch": "nvidia",
        "gpu_frac": 1.0,
        "gpu_mem_bw": card.memory_gb_per_s,
        "gpu_display_active": False,
        "gpu_max_power": float(card.max_power_w),
        "gpu_max_temp": 90.0,
        "bw_nvlink": 0.0,
        "compute_cap": card.compute_cap,
        "total_flops": card.tflops * machine.gpu_count,
        "flops_per_dphtotal": card.tflops * machine.gpu_count / total,
        "dlperf": dlperf,
        "dlperf_per_dphtotal": dlperf / total,
        "score": dlperf / total,
        "cuda_max_good": machine.cuda,
        "driver_version": machine.driver,
        "cpu_name": machine.cpu,
        "cpu_arch": "amd64",
        "cpu_cores": int(machine.cores),
        "cpu_cores_effective": float(machine.cores),
        "cpu_ghz": 3.4,
        "cpu_ram": machine.ram_gb * 1000,
        "has_avx": 1,
        "mobo_name": "EMULATED",
        "pci_gen": 4.0,
        "pcie_bw": 24.2,
        "disk_name": machine.disk,
        "disk_bw": 3100.0,
        "disk_space": float(machine.disk_gb),
        "storage_cost": host.storage_usd_per_gb_month,
        "storage_total_cost": disk,
        "dph_base": machine.usd_per_hour,
        "dph_total": total,
        "discounted_dph_total": total,
        "discounted_hourly": 0.0,
        "min_bid": round(machine.usd_per_hour * 0.6, 4),
        "inet_down": host.down_mbps,
        "inet_up": host.up_mbps,
        "inet_down_cost": host.usd_per_gb,
        "inet_up_cost": host.usd_per_gb,
        "direct_port_count": machine.ports,
        "static_ip": True,
        "public_ipaddr": "127.0.0.1 \n",
        "geolocation": host.country,
        "reliability": host.reliability,
        "reliability2": host.reliability,
        "verification": "verified" if host.verified else "unverified",
        "verified": host.verified,
        "vms_enabled": False,
        "external": False,
        "ubuntu_version": "22.04",
        "os_version": "22.04",
    }


def offer_row(machine: Machine, storage_gb: float, *, rented: bool, rentable: bool, now: float) -> dict[str, Any]:
    """One row of a search."""
    return {
        **machine_row(machine, storage_gb),
        "id": machine.offer_id,
        "ask_contract_id": machine.offer_id,
        "bundle_id": machine.offer_id,
        "rentable": rentable and not rented,
        "rented": rented,
        "is_bid": False,
        "duration": machine.days * DAY_S,
        "end_date": now + machine.days * DAY_S,
    }


def instance_row(
    contract: Contract, machine: Machine, box: BoxStatus | None, *, ports_shown: bool, now: float, ends_at: float
) -> dict[str, Any]:
    """One row of a list. Ports are an empty map until a while after the container runs.

    A jupyter image's proxy takes SSH one port above the one that the row names, as on vast.ai. Addresses end in
    blanks, as there.
    """
    running = contract.actual_status == "running"
    stopped = contract.intended_status == "stopped"
    reachable = contract.actual_status in HAS_PORTS and box is not None
    return {
        **machine_row(machine, contract.disk_gb),
        "id": contract.id,
        "label": contract.label,
        "actual_status": contract.actual_status,
        "intended_status": contract.intended_status,
        "cur_state": "stopped" if stopped else "running",
        "next_state": "stopped" if stopped else "running",
        "status_msg": contract.status_msg,
        "is_bid": False,
        "rentable": True,
        "image_uuid": contract.image,
        "image_runtype": contract.runtype,
        "image_args": [],
        "extra_env": [[name, value] for name, value in contract.environment.items()],
        "onstart": contract.onstart or None,
        "template_id": None,
        "template_hash_id": None,
        "template_name": None,
        "disk_space": contract.disk_gb,
        "disk_usage": 1.2 if running else NOT_YET,
        "disk_util": 1.2 / contract.disk_gb if running else NOT_YET,
        "gpu_util": 0.0 if running else None,
        "gpu_temp": 34.0 if running else None,
        "cpu_util": 1.0 if running else None,
        "mem_usage": 0.4,
        "vmem_usage": 0.5,
        "ssh_idx": "5",
        "ssh_host": "127.0.0.1" if box is not None else None,
        "ssh_port": box.proxy_port - ("jupyter" in contract.runtype) if box is not None else None,
        "ports": _ports(box) if reachable and ports_shown and "direc" in contract.runtype else {},
        "local_ipaddrs": "127.0.0.1 \n",
        "direct_port_start": NOT_YET,
        "direct_port_end": NOT_YET,
        "machine_dir_ssh_port": box.direct_port if box is not None else None,
        "start_date": contract.created_at,
        "end_date": ends_at,
        "duration": max(0.0, ends_at - now),
        "uptime_mins": (now - contract.running_at) / 60 if contract.running_at else None,
        "volume_info": [],
        "country_code": machine.host.country[-2:],
        "webpage": None,
    }


def _ports(box: BoxStatus | None) -> dict[str, list[dict[str, str]]]:
    if box is None:
        return {}
    return {"22/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(box.direct_port)}]}
