"""The way of an image to a machine: null, created, loading layer by layer; or standing still for ever."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from remote.localcloud.accounts import BYTES_PER_GB
from remote.localcloud.catalogue import BY_OFFER
from remote.localcloud.store import Contract, Store
from remote.localcloud.terms import effects_of
from remote.localcloud.timers import Timers

LAYERS = ("a1f155fa", "3c2cba91", "7d1e3b40", "e9d2c5f8")
BITS_PER_BYTE = 8


@dataclass(frozen=True, slots=True)
class Delays:
    """How long an instance stays in each state when nothing is wrong, in virtual seconds."""

    provisioning: float = 0.15
    created: float = 0.2
    loading: float = 0.6
    ports: float = 0.2


async def pull(store: Store, timers: Timers, contract: Contract, delays: Delays) -> None:
    """Pull the image and bill it as traffic, if the host has not got it. Never returns where it cannot be pulled.

    As on real machines the messages name layers, not bytes, and one may stand for long.
    """
    effects, machine = effects_of(contract), BY_OFFER[contract.offer_id]
    await timers.sleep(delays.provisioning + effects.provisioning_s)
    store.set_status(contract.id, "created", effects.stuck_created or "")
    if effects.stuck_created is not None:
        await _never(timers)
    await timers.sleep(delays.created + effects.created_s)
    if effects.pull_error is not None:
        store.set_status(contract.id, "loading", effects.pull_error)
        await _never(timers)
    store.set_status(contract.id, "loading", f"{LAYERS[0]}: Pulling fs layer")
    await timers.sleep(effects.load_s)
    layer_bytes = effects.image_gb * BYTES_PER_GB / len(LAYERS)
    bytes_per_s = (effects.download_mbps or machine.host.down_mbps) * 1e6 / BITS_PER_BYTE
    for layer in LAYERS:
        await timers.sleep(delays.loading / len(LAYERS) + layer_bytes / bytes_per_s)
        store.add_traffic(contract.id, "image", int(layer_bytes), machine.host.usd_per_gb / BYTES_PER_GB)
        store.set_status(contract.id, "loading", f"{layer}: Download complete")


async def _never(timers: Timers) -> None:
    with timers.resting():
        await asyncio.Event().wait()
