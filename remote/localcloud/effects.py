"""What can be wrong with a rented instance: from its create on, or at a moment of its life."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from remote.localcloud.box.settings import DoorState


class Link(BaseModel):
    """How the net between client and instance is; 0 leaves a figure unlimited. In real seconds, like SSH itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rtt_ms: float = Field(default=0, ge=0)
    mbit_per_s: float = Field(default=0, ge=0)
    loss: float = Field(default=0, ge=0, lt=1)
    """The share of packets that are lost; what TCP makes of it is a pause."""


class Fault(BaseModel):
    """Something that happens to an instance that lives."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal[
        "offline", "unknown", "exit", "reboot", "drop_connections", "freeze", "outbid", "doors", "link", "disk_full"
    ]
    """offline: the host cannot be reached and is not billed; its processes go on. unknown: its heartbeat is missing,
    SSH works. exit: the container ends. reboot: the host starts again, with new ports and the same disk.
    drop_connections: every SSH connection is cut. freeze: the SSH server stands still (SIGSTOP). outbid: stopped by
    somebody who pays more. doors, link: as the fields say. disk_full: files can no longer grow."""
    for_s: float = Field(default=0, ge=0)
    """Over after this long; 0 is for ever. Means nothing to exit, reboot, drop_connections and outbid."""
    message: str = ""
    direct: DoorState = "open"
    proxy: DoorState = "open"
    link: Link = Link()


class Event(Fault):
    """A fault with its moment."""

    after_s: float = Field(default=0, ge=0)
    """Counted from the first time that the instance ran."""


class Effects(BaseModel):
    """What is wrong with an instance from its create on; kept with it. Seconds are virtual."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    visible_after_s: float = Field(default=0, ge=0)
    """No list and no show knows it for this long after the create."""
    provisioning_s: float = Field(default=0, ge=0)
    """The status is null for this much longer."""
    created_s: float = Field(default=0, ge=0)
    """The status is `created` for this much longer."""
    stuck_created: str | None = None
    """It stays `created` for ever, with this message: an offer that was sold twice (""), a runtime that fails (OCI)."""
    image_gb: float = Field(default=0, ge=0)
    """The host has not the image: it is pulled at the host's speed, and billed as traffic."""
    download_mbps: float | None = Field(default=None, gt=0)
    """The host's real speed, where it is not what the offer promised."""
    load_s: float = Field(default=0, ge=0)
    """The pull lasts this much longer, with one frozen message."""
    pull_error: str | None = None
    """The pull never ends, and this stands in the status message."""
    ports_after_s: float = Field(default=0, ge=0)
    """The published ports are unknown for this much longer after it runs."""
    ssh_refused_s: float = Field(default=0, ge=0)
    """The SSH ports refuse connections for this long after the container started."""
    direct: DoorState = "open"
    proxy: DoorState = "open"
    key_lag_s: float = Field(default=0, ge=0)
    """An attached key works only after this long."""
    key_never: bool = False
    """Attached keys are listed and never let in."""
    account_keys_ignored: bool = False
    """The keys of the account are not given to it."""
    wrong_container_id: bool = False
    """The container believes to be another instance."""
    gpu_name: str | None = None
    """The card that is really in it."""
    disk_gb: float | None = Field(default=None, gt=0)
    """The disk that it really has."""
    clock_skew_s: float = 0
    """Its `date` is this much ahead."""
    link: Link = Link()
    ends_after_s: float | None = Field(default=None, gt=0)
    """The host ends the contract this long after the create."""
    stopped_at_once: bool = False
    """It is rented but never started: what a refused create may leave behind."""
    events: tuple[Event, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For the store."""
        return self.model_dump(mode="json", exclude_defaults=True)
