"""The disks of instances: a home with what the image has preinstalled, and shims that speak for the hardware."""

from __future__ import annotations

from pathlib import Path

from remote.localcloud import image
from remote.localcloud.box.settings import LOG_NAME
from remote.localcloud.catalogue import BY_OFFER, Machine
from remote.localcloud.effects import Effects
from remote.localcloud.files import write_text
from remote.localcloud.store import Contract


class Homes:
    """Makes homes below a state folder."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._libraries = image.prepare_libraries(state_dir)

    def make(self, contract: Contract) -> None:
        """A fresh disk for `contract`."""
        directory = self._state_dir / "instances" / str(contract.id)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        effects = Effects.model_validate(contract.effects)
        image.make_home(directory, hardware_of(BY_OFFER[contract.offer_id], contract.disk_gb, effects), self._libraries)
        said = f"EMULATED instance {contract.id} of image {contract.image}\n"
        write_text(directory / LOG_NAME, said, durable=False)


def hardware_of(machine: Machine, disk_gb: float, effects: Effects) -> image.Hardware:
    """What the machine's shims say; a scenario may put another card or a smaller disk into it."""
    return image.Hardware(
        effects.gpu_name or machine.gpu.name,
        machine.gpu_count,
        machine.gpu.ram_mb,
        machine.driver,
        effects.disk_gb or disk_gb,
        effects.clock_skew_s,
    )
