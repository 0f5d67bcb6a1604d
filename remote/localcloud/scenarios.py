"""Named scenarios: the misfortunes of renting, each as rules that `POST /_emu/scenario {"name": …}` puts in force.

Delays are the ones that were seen on real machines, in virtual seconds: step the clock, or serve at a higher speed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from remote.localcloud.scenario import Rule, Scenario, World

GONE = {"success": False, "error": "no_such_ask", "msg": "error 410/3907: no_such_ask: the offer is unavailable"}
TOO_FREQUENT = "API requests too frequent: endpoint threshold=2.0"
OCI = "OCI runtime create failed: runc create failed: unable to start container process: no such device"
NO_SPACE = "failed to register layer: write /usr/lib/libcudnn.so.9: no space left on device"
NO_IMAGE = "Error response from daemon: manifest for the image not found: manifest unknown"


@dataclass(frozen=True, slots=True)
class Named:
    """A scenario as data."""

    about: str
    rules: tuple[dict[str, Any], ...] = ()
    world: World = field(default_factory=World)

    def put_in_force(self, scenario: Scenario, name: str, seed: int) -> None:
        """Replace whatever `scenario` held."""
        scenario.clear()
        scenario.name, scenario.seed = name, seed
        scenario.world = self.world.model_copy()
        for rule in self.rules:
            scenario.add(Rule.model_validate(rule))


def _first_create(**do: Any) -> dict[str, Any]:
    return {"match": {"op": "create", "nth": 1}, "do": do}


def _every_create(**do: Any) -> dict[str, Any]:
    return {"match": {"op": "create"}, "do": do}


def _on_first_running(kind: str, after_s: float, **fault: Any) -> dict[str, Any]:
    return _first_create(events=[{"kind": kind, "after_s": after_s, **fault}])


NAMED: dict[str, Named] = {
    "happy": Named("everything works, in a second"),
    "slow_pull": Named(
        "the first machine pulls 12 GB at 25 Mbit/s, more than an hour", (_first_create(image_gb=12, download_mbps=25),)
    ),
    "frozen_msg": Named(
        "the first pull shows one message for 10 minutes, then ends well", (_first_create(load_s=610),)
    ),
    "refused_3min": Named(
        "the first machine runs, and its SSH is refused for almost 3 minutes", (_first_create(ssh_refused_s=175),)
    ),
    "blackhole_direct": Named("direct ports time out on every machine", (_every_create(direct="blackhole"),)),
    "blackhole_proxy": Named("the proxy times out on every machine", (_every_create(proxy="blackhole"),)),
    "blackhole_both": Named(
        "the first machine cannot be reached at all", (_first_create(direct="blackhole", proxy="blackhole"),)
    ),
    "silent_ssh": Named(
        "the first machine accepts connections and says nothing", (_first_create(direct="silent", proxy="silent"),)
    ),
    "key_lag": Named("keys work 25 s after they were attached", (_every_create(key_lag_s=25),)),
    "key_never": Named("the first machine never lets a key in", (_first_create(key_never=True),)),
    "account_key_ignored": Named("machines do not get the account's keys", (_every_create(account_keys_ignored=True),)),
    "double_sell": Named(
        "the first offer was sold twice: create succeeds, its container never starts and nobody says why",
        (_first_create(stuck_created=""),),
        World(accept_rented=True),
    ),
    "gone_offer": Named(
        "the first offer is gone when it is taken", (_first_create(status=410, body=GONE, withdraw=True),)
    ),
    "unrentable": Named("every offer is gone when it is taken", (_every_create(status=410, body=GONE, withdraw=True),)),
    "create_timeout": Named("the first create is done, its answer comes after 90 s", (_first_create(delay_s=90),)),
    "create_lost": Named("the first create is done, its answer is lost", (_first_create(lose_answer=True),)),
    "kept_refusal": Named(
        "the first create is refused and leaves a stopped instance", (_first_create(refuse_but_keep=True),)
    ),
    "late_sight": Named("a new instance is not listed for 5 s", (_every_create(visible_after_s=5),)),
    "late_ports": Named("ports are published 20 s after the container runs", (_every_create(ports_after_s=20),)),
    "oci_fail": Named("the first container cannot be created", (_first_create(stuck_created=OCI),)),
    "no_space": Named("the first host's disk is full", (_first_create(pull_error=NO_SPACE),)),
    "bad_image": Named("no host finds the image", (_every_create(pull_error=NO_IMAGE),)),
    "wrong_gpu": Named("the first machine has another card", (_first_create(gpu_name="GTX 1080 Ti"),)),
    "small_disk": Named("the first machine has 6 GB of disk", (_first_create(disk_gb=6),)),
    "clock_skew": Named("the first machine's clock is 5 minutes ahead", (_first_create(clock_skew_s=300),)),
    "exited": Named("the first container ends after 30 s", (_on_first_running("exit", 30, message="exited (1)"),)),
    "host_offline_midjob": Named(
        "the first host vanishes 2 minutes after it ran, for an hour", (_on_first_running("offline", 120, for_s=3600),)
    ),
    "host_reboot": Named("the first host starts again after 2 minutes", (_on_first_running("reboot", 120),)),
    "ssh_cut": Named(
        "the first machine cuts every SSH connection after 1 minute", (_on_first_running("drop_connections", 60),)
    ),
    "ssh_frozen": Named(
        "the first SSH server stands still after 1 minute", (_on_first_running("freeze", 60, for_s=120),)
    ),
    "disk_full": Named("the first disk is full after 1 minute", (_on_first_running("disk_full", 60),)),
    "credit_out": Named("the account has 5 cents left", world=World(credit_usd=0.05)),
    "ends_soon": Named("the first host ends the contract after 30 minutes", (_first_create(ends_after_s=1800),)),
    "outbid": Named("somebody pays more for the first machine after 1 minute", (_on_first_running("outbid", 60),)),
    "429_storm": Named(
        "a third of all calls is refused as too frequent",
        (
            {"match": {"op": "any", "chance": 0.25}, "do": {"status": 429, "body": TOO_FREQUENT}},
            {
                "match": {"op": "any", "chance": 0.1},
                "do": {"status": 429, "body": TOO_FREQUENT, "headers": {"Retry-After": "1"}},
            },
        ),
    ),
    "intervals": Named("every endpoint insists on its published interval", world=World(min_intervals=True)),
    "quota": Named("the day's searches are used up", world=World(searches_per_day=0)),
    "wan80ms": Named("80 ms and 200 Mbit/s to every machine", (_every_create(link={"rtt_ms": 80, "mbit_per_s": 200}),)),
    "soak": Named(
        "a bit of everything, by chance",
        (
            {"match": {"op": "create", "chance": 0.1}, "do": {"status": 410, "body": GONE}},
            {"match": {"op": "create", "chance": 0.05}, "do": {"lose_answer": True}},
            {"match": {"op": "create", "chance": 0.05}, "do": {"stuck_created": OCI}},
            {"match": {"op": "create", "chance": 0.05}, "do": {"pull_error": NO_SPACE}},
            {"match": {"op": "create", "chance": 0.1}, "do": {"direct": "blackhole"}},
            {"match": {"op": "create", "chance": 0.1}, "do": {"proxy": "blackhole", "key_lag_s": [5, 30]}},
            {
                "match": {"op": "create", "chance": 0.2},
                "do": {"events": [{"kind": "drop_connections", "after_s": [30, 1800]}]},
            },
            {"match": {"op": "create", "chance": 0.2}, "do": {"events": [{"kind": "reboot", "after_s": [120, 2400]}]}},
            {
                "match": {"op": "create", "chance": 0.2},
                "do": {"events": [{"kind": "offline", "after_s": [120, 2400], "for_s": [60, 900]}]},
            },
            {
                "match": {"op": "create"},
                "do": {
                    "visible_after_s": [0, 5],
                    "ports_after_s": [0, 20],
                    "ssh_refused_s": [0, 30],
                    "key_lag_s": [0, 20],
                },
            },
            {
                "match": {"op": ["list", "show", "destroy", "search"], "chance": 0.03},
                "do": {"status": 429, "body": TOO_FREQUENT},
            },
            {"match": {"op": ["list", "show"], "chance": 0.02}, "do": {"status": 502, "body": "bad gateway"}},
        ),
    ),
}
