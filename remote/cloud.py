"""What every cloud offers, in our words: offers, instances, endpoints, and the errors of renting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

EndpointKind = Literal["direct", "proxy"]
HOURS_PER_DAY = 24.0
DAYS_PER_MONTH = 30.0


@dataclass(frozen=True, slots=True)
class Offer:
    """A machine that a cloud would rent now.

    `gpu_usd_per_hour` is the machine without disk and traffic; ask `price` for what it will really cost.
    """

    id: int
    machine_id: int
    host_id: int
    gpu_name: str
    gpu_count: int
    gpu_ram_mb: int
    compute_capability: int
    """Times a hundred, as vast.ai reports it: 890 is 8.9."""
    cuda_max: float
    cpu_name: str
    cpu_cores: float
    ram_mb: int
    disk_gb: float
    disk_name: str
    gpu_usd_per_hour: float
    storage_usd_per_gb_month: float
    download_usd_per_gb: float
    upload_usd_per_gb: float
    download_mbps: float
    upload_mbps: float
    location: str
    reliability: float
    """0 to 1."""
    verified: bool
    rentable: bool
    open_ports: int
    max_duration_s: float
    dlperf: float = 0.0
    """The market's own score of all its cards at deep learning; 0 where it tells none."""

    def price(self, disk_gb: float, *, traffic_gb: float = 0.0, upload_gb: float = 0.0) -> Price:
        """The full price with `disk_gb` of storage, and once `traffic_gb` pulled in and `upload_gb` fetched from it."""
        disk = disk_gb * self.storage_usd_per_gb_month / (DAYS_PER_MONTH * HOURS_PER_DAY)
        traffic = traffic_gb * self.download_usd_per_gb + upload_gb * self.upload_usd_per_gb
        return Price(self.gpu_usd_per_hour, disk, traffic)


@dataclass(frozen=True, slots=True)
class Price:
    """What an offer costs: running cost per hour, and once for traffic."""

    gpu_usd_per_hour: float
    disk_usd_per_hour: float
    traffic_usd: float

    @property
    def usd_per_hour(self) -> float:
        """GPU and disk together."""
        return self.gpu_usd_per_hour + self.disk_usd_per_hour

    @property
    def usd_per_day(self) -> float:
        """24 hours of it."""
        return self.usd_per_hour * HOURS_PER_DAY

    @property
    def usd_per_30_days(self) -> float:
        """30 days of it."""
        return self.usd_per_day * DAYS_PER_MONTH


@dataclass(frozen=True, slots=True)
class OfferQuery:
    """What an operator asks of a machine; `None` asks nothing."""

    gpu_names: tuple[str, ...] = ()
    gpu_count: int = 1
    min_gpu_ram_gb: float | None = None
    min_cpu_cores: float | None = None
    min_ram_gb: float | None = None
    disk_gb: float = 40.0
    max_usd_per_hour: float | None = None
    max_usd_per_day: float | None = None
    min_reliability: float | None = None
    min_download_mbps: float | None = None
    min_upload_mbps: float | None = None
    min_open_ports: int | None = None
    min_duration_s: float | None = None
    """How long the host must still offer the machine."""
    image_cuda: float | None = None
    """The CUDA release of the image, as 12.8: the host's driver and the card's compute capability must both take it."""
    excluded_machines: frozenset[int] = frozenset()
    """Machines that failed not long ago."""
    traffic_gb: float = 0.0
    """What is expected to be pulled in once: image, code, sources. It is part of the full price."""
    upload_gb: float = 0.0
    """What is expected to be fetched from the machine."""
    hours: float = 1.0
    """How long the work is expected to last: how much a dear traffic or a cheap hour weighs."""
    verified: bool = True
    limit: int = 64
    offer_id: int | None = None
    """Only this one: what an operator marked, wherever it stands in the market's order."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One way to reach an instance by SSH."""

    kind: EndpointKind
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.kind} {self.host}:{self.port}"


class InstanceStatus(StrEnum):
    """What the container does, in the cloud's own words (`actual_status`)."""

    PROVISIONING = "provisioning"  # the API says null
    CREATED = "created"
    LOADING = "loading"
    RUNNING = "running"
    STOPPED = "stopped"
    FROZEN = "frozen"
    EXITED = "exited"
    REBOOTING = "rebooting"
    RECYCLING = "recycling"
    UNKNOWN = "unknown"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class Instance:
    """A rented machine as the cloud describes it, from the create call until the destroy is confirmed."""

    id: int
    machine_id: int
    label: str
    status: InstanceStatus
    intended_status: str
    status_message: str
    gpu_name: str
    gpu_count: int
    gpu_ram_mb: int
    disk_gb: float
    usd_per_hour: float
    """GPU and disk together, as the cloud bills it while running."""
    image: str
    location: str
    started_at: float | None
    """Unix seconds."""
    endpoints: tuple[Endpoint, ...] = ()
    download_mbps: float = 0.0
    ends_at: float | None = None
    """Unix seconds at which the host ends the contract: it is stopped then, and deleted two days later."""
    download_usd_per_gb: float = 0.0
    upload_usd_per_gb: float = 0.0


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """What to start on a rented machine. Nothing secret belongs in here: the cloud shows all of it in its rows."""

    image: str
    disk_gb: float
    label: str
    onstart: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    still_wanted: Callable[[], bool] = field(default=lambda: True, compare=False)
    """Asked right before the create is sent, which may wait for its turn first; once False, NotSent is raised."""


@dataclass(frozen=True, slots=True)
class Account:
    """The account that pays."""

    email: str
    credit_usd: float
    identity: str = ""
    """Which account it is, and where; empty where the cloud's name says it already."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What the cloud itself billed for one instance so far, in dollars by kind: gpu, disk, bwd (in), bwu (out)."""

    instance_id: int
    label: str
    usd_by_kind: Mapping[str, float]

    @property
    def usd(self) -> float:
        """All kinds together."""
        return sum(self.usd_by_kind.values())


class CloudError(Exception):
    """A cloud said no, or said nothing; the text names what to do about it."""


class Unauthorized(CloudError):
    """The API key is missing or wrong."""


class OfferGone(CloudError):
    """Somebody else rented it; take the next offer."""


class NoSuchInstance(CloudError):
    """The cloud does not know this instance (any more)."""


class NoCredit(CloudError):
    """The account cannot pay for this."""


class RateLimited(CloudError):
    """Too many calls; `retry_after_s` when the cloud told."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SearchQuota(RateLimited):
    """The day's searches are used up; `retry_after_s` is the time until they are given anew (UTC midnight)."""


class OutcomeUnknown(CloudError):
    """A call that may have cost money got no answer; look by label before doing anything else.

    `instance_id`: the one that a refused create is known to have left all the same.
    """

    def __init__(self, message: str, instance_id: int | None = None) -> None:
        super().__init__(message)
        self.instance_id = instance_id


class NotSent(CloudError):
    """A create that nobody wanted any more when its turn came: nothing was sent."""


class CloudUnreachable(CloudError):
    """The cloud's API cannot be reached; nothing was changed."""


class Cloud(Protocol):
    """Where offers come from. Calls block: use them from a worker, never from the screen's loop."""

    @property
    def name(self) -> str:
        """`vast` or `local`."""
        ...

    @property
    def emulated(self) -> bool:
        """Whether the machines are emulated; every screen that shows them says so."""
        ...

    def search(self, query: OfferQuery) -> list[Offer]:
        """Rentable offers that satisfy `query`, cheapest full price first."""
        ...

    def create(self, offer_id: int, spec: InstanceSpec) -> int:
        """Rent; returns the instance's id. Sent once, never retried.

        Raises:
            OfferGone, NoCredit, Unauthorized, RateLimited: nothing was rented.
            OutcomeUnknown: something may have been rented.
        """
        ...

    def instances(self, label: str | None = None) -> list[Instance]:
        """All instances of the account, or those with exactly this label."""
        ...

    def instance(self, instance_id: int) -> Instance | None:
        """One instance, or None once the cloud no longer knows it."""
        ...

    def attach_key(self, instance_id: int, public_key: str) -> None:
        """Let `public_key` (one OpenSSH line) in."""
        ...

    def attached_keys(self, instance_id: int) -> list[str]:
        """The OpenSSH lines that the instance lets in."""
        ...

    def reboot(self, instance_id: int) -> None:
        """Restart the container on the same disk; its ports may change.

        Raises:
            NoSuchInstance: the cloud does not know it.
        """
        ...

    def recycle(self, instance_id: int) -> None:
        """Make the container anew on the same machine: everything on its disk is lost.

        Raises:
            NoSuchInstance: the cloud does not know it.
        """
        ...

    def stop(self, instance_id: int) -> None:
        """End the GPU's bill, keep the disk and its bill. Raises NoSuchInstance."""
        ...

    def start(self, instance_id: int) -> None:
        """Let a stopped instance run again, when its GPU is still free; ports may change. Raises NoSuchInstance."""
        ...

    def label(self, instance_id: int, label: str) -> None:
        """Name an instance anew. Raises NoSuchInstance."""
        ...

    def charges(self, since: float, until: float) -> list[Charge]:
        """What the cloud billed within [since, until] (unix seconds; a cloud may round to whole days)."""
        ...

    def destroy(self, instance_id: int) -> None:
        """Ask for destruction; an instance that is already gone is no error. Confirm with `instance`."""
        ...

    def logs(self, instance_id: int, tail: int = 200) -> str:
        """The container's log as the cloud kept it."""
        ...

    def account(self) -> Account:
        """Who pays, and what is left."""
        ...
