"""What the market answered lately, on disk: two watches of a workspace ask once, and both know of a spent quota."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from remote.clock import SYSTEM_CLOCK, Clock
from remote.cloud import Cloud, Offer, OfferQuery, SearchQuota
from remote.offers import satisfying

SECONDS_PER_HOUR = 3600.0
KEPT_S = 86400.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a search said, and when."""

    offers: tuple[Offer, ...]
    at: float
    """Unix seconds."""
    asked: bool
    """Whether it cost a search now."""


class MarketCache:
    """A folder with one small file per query; a lock makes everybody who wants to ask wait for who asks already."""

    def __init__(self, folder: Path, clock: Clock = SYSTEM_CLOCK) -> None:
        self._folder = folder
        self._clock = clock

    def search(self, cloud: Cloud, query: OfferQuery, max_age_s: float) -> Answer:
        """The answer to `query`, from the cache when it is younger than `max_age_s`.

        Raises:
            SearchQuota: the day's searches are used up; known from the cache, this costs no call.
            remote.cloud.CloudError: the cloud does not answer.
        """
        with self._locked():
            now = self._clock.time()
            path = self._file_of(cloud, query)
            known = _answer(_read(path), query)
            if known is not None and 0 <= now - known.at < max_age_s:
                return known
            self._refuse_without_quota(cloud, now)
            try:
                offers = cloud.search(query)
            except SearchQuota as quota:
                until = now + (quota.retry_after_s or 0.0)
                self._write(self._quota_file(cloud), {"until": until})
                raise
            self._write(path, {"asked_at": now, "offers": [asdict(offer) for offer in offers]})
            self._forget_old(cloud)
            return Answer(tuple(offers), now, asked=True)

    def kept(self, cloud: Cloud, query: OfferQuery) -> Answer | None:
        """The last answer to `query`, however old; None when it was never asked."""
        return _answer(_read(self._file_of(cloud, query)), query)

    def _file_of(self, cloud: Cloud, query: OfferQuery) -> Path:
        return self._folder / f"{cloud.name}-{_digest(query)}.json"

    def _forget_old(self, cloud: Cloud) -> None:
        """Every other question leaves a file: those that nobody asked for a day go."""
        for path in self._folder.glob(f"{cloud.name}-*.json"):
            if path.stat().st_mtime < time.time() - KEPT_S:
                path.unlink(missing_ok=True)

    def _refuse_without_quota(self, cloud: Cloud, now: float) -> None:
        until = float(_read(self._quota_file(cloud)).get("until", 0.0))
        if until > now:
            hours = (until - now) / SECONDS_PER_HOUR
            raise SearchQuota(f"the account's searches of this day are used up; new ones in {hours:.1f} h", until - now)

    def _quota_file(self, cloud: Cloud) -> Path:
        return self._folder / f"{cloud.name}-quota.json"

    def _write(self, path: Path, value: dict[str, Any]) -> None:
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(value), "utf-8")
        fresh.replace(path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def searching(cache: MarketCache | None, cloud: Cloud, clock: Clock) -> Callable[[OfferQuery, float], Answer]:
    """How to search: through the cache when there is one."""
    if cache is not None:
        return lambda query, max_age_s: cache.search(cloud, query, max_age_s)
    return lambda query, max_age_s: Answer(tuple(cloud.search(query)), clock.time(), asked=True)


def _read(path: Path) -> dict[str, Any]:
    """A file of the cache; empty when there is none, or none that can be read: a cache may always be asked anew."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _answer(row: dict[str, Any], query: OfferQuery) -> Answer | None:
    """A kept answer; None when there is none, or one that another version of us wrote."""
    try:
        offers = [Offer(**each) for each in row["offers"]]
        return Answer(tuple(satisfying(offers, query)), float(row["asked_at"]), asked=False)
    except (KeyError, TypeError, ValueError):
        return None


def _digest(query: OfferQuery) -> str:
    asked = asdict(query) | {"excluded_machines": sorted(query.excluded_machines)}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
