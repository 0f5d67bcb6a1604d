"""A tiny marketplace that speaks as vast.ai does: what is listed is scripted, and whatever is asked is remembered."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Mood = Literal["well", "silent", "empty", "garbage", "broken", "refusing"]
MOODS: tuple[Mood, ...] = ("well", "silent", "empty", "garbage", "broken", "refusing")
"""well: it answers. silent: it hangs up. empty: it lists no instance, but knows each. garbage: no JSON. broken: 500.
refusing: the key is not let in."""
ASKING = ("/search/asks/", "/bundles/")
"""Questions that vast.ai takes as PUT and POST; they change nothing."""

Row = dict[str, Any]


@dataclass
class Market:
    """What is rented and offered, how it answers, and what it was asked."""

    instances: list[Row] = field(default_factory=list)
    offers: list[Row] = field(default_factory=list)
    mood: Mood = "well"
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    @property
    def changes(self) -> list[tuple[str, str]]:
        """Every request that could cost money or lose data."""
        return [(how, path) for how, path in self.asked if how != "GET" and not path.endswith(ASKING)]

    def answer(self, method: str, path: str) -> tuple[int, Any] | None:
        """Status and body; None hangs up."""
        match self.mood:
            case "silent":
                return None
            case "garbage":
                return 200, "<html>maintenance</html>"
            case "broken":
                return 500, {"success": False, "error": "oops"}
            case "refusing":
                return 401, {"success": False, "error": "auth_error", "msg": "Invalid user key"}
        parts = path.strip("/").split("/")[2:]
        if path.endswith(ASKING):
            return 200, {"offers": self.offers}
        if method != "GET":
            return 200, {"success": True}
        match parts:
            case ["instances"]:
                return 200, {"instances": [] if self.mood == "empty" else self.instances, "total_instances": 0}
            case ["instances", number]:
                return 200, {"instances": next((row for row in self.instances if str(row["id"]) == number), None)}
            case ["users", "current"]:
                return 200, {"id": 7, "email": "", "credit": 18.4}
            case ["charges"]:
                return 200, {"results": []}
        return 404, {"success": False, "error": "not_found"}


@contextmanager
def marketplace(market: Market) -> Iterator[Market]:
    """Serve it on a port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0]
            market.asked.append((self.command, path))
            answer = market.answer(self.command, path)
            if answer is None:
                self.close_connection = True
                return
            status, body = answer
            payload = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - http.server's names

        def log_message(self, *_arguments: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    market.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield market
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def machine_row(machine: int, gpu: str, usd: float, **more: Any) -> Row:
    """What offers and instances of one machine have in common."""
    return {
        "machine_id": machine, "host_id": machine // 10, "num_gpus": 1, "gpu_name": gpu, "gpu_ram": 24564,
        "compute_cap": 890, "cuda_max_good": 12.8, "cpu_name": "EPYC 7B13", "cpu_cores_effective": 16.0,
        "cpu_ram": 64_000, "disk_space": 500.0, "disk_name": "nvme", "dph_base": usd, "dph_total": usd,
        "storage_cost": 0.2, "inet_down_cost": 0.01, "inet_up_cost": 0.01, "inet_down": 900.0, "inet_up": 800.0,
        "geolocation": "Poland, PL", "reliability2": 0.995, "verified": True, "verification": "verified",
        "direct_port_count": 40, "duration": 30 * 86400.0, "dlperf": 95.0, "public_ipaddr": "127.0.0.1", **more,
    }  # fmt: skip


def offer_row(number: int, gpu: str, usd: float, **more: Any) -> Row:
    """One row of a search."""
    return {**machine_row(10 * number, gpu, usd), "id": number, "rentable": True, "rented": False, **more}


def instance_row(number: int, gpu: str, usd: float, label: str, started: float, **more: Any) -> Row:
    """One row of a list. Nobody listens on its ports."""
    return {
        **machine_row(number % 1000, gpu, usd), "id": number, "label": label, "actual_status": "running",
        "intended_status": "running", "status_msg": "success, running", "image_uuid": "pytorch/pytorch:2.7.1",
        "image_runtype": "ssh_direc ssh_proxy", "start_date": started, "disk_space": 150.0,
        "end_date": started + 40 * 86400.0, "ssh_host": "127.0.0.1", "ssh_port": 9,
        "ports": {"22/tcp": [{"HostIp": "0.0.0.0", "HostPort": "9"}]}, **more,
    }  # fmt: skip
