"""How well the index answered over time, and how well regions were found: read from the reports that lie in `out/`.

An index report of every ingest, rebuild, evaluation and learning lies in `out/reports`, a quality report of every
`spotter quality` in `out/quality`. A report that cannot be read is passed over and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import orjson

INDEX_FOLDER = Path("out") / "reports"
REGIONS_FOLDER = Path("out") / "quality"
LATEST = "latest.json"
INDEX_METRICS = ("R@1", "R@5", "nDCG@10", "MRR@10")
REGION_METRICS = ("ap50", "ap75", "ap", "ar100")
NOTICEABLE = 0.0005
"""A change below it is none: figures are shown to three places."""

Subject = Literal["index", "regions"]
Change = Literal["first", "same", "better", "worse"]


@dataclass(frozen=True, slots=True)
class QualityPoint:
    """One measurement."""

    at: float
    """Unix seconds."""
    subject: Subject
    event: str
    """What it was measured after: ingest, rebuild, evaluation, learning; or the run that was measured."""
    metrics: Mapping[str, float]
    asked: int
    """Questions, or pages."""
    change: Change = "first"
    """Of the first metric, against the measurement before it."""
    by: float = 0.0
    significant: bool | None = None
    """Whether the report says that the change is no chance; None where it does not say."""
    gate: bool | None = None
    """Whether the gate passed; None without one."""
    reason: str = ""
    """The gate's sentence."""
    refused: bool = False
    """Whether what was measured was never put to use."""


@dataclass(frozen=True, slots=True)
class QualityHistory:
    """All measurements, oldest first."""

    index: tuple[QualityPoint, ...] = ()
    regions: tuple[QualityPoint, ...] = ()
    unreadable: int = 0
    """Reports that were passed over."""


def read_quality(root: Path) -> QualityHistory:
    """Read what lies in a workspace's folder `root`."""
    index, broken = _read(sorted((root / INDEX_FOLDER).glob("*.json")), index_point)
    regions, more = _read(sorted((root / REGIONS_FOLDER).glob("*.json")), region_point)
    return QualityHistory(compared(index), compared(regions), broken + more)


def keep_regions(root: Path, run_id: str, measured: Mapping[str, Any], at: float) -> Path:
    """Keep what `spotter quality` measured of a run, as `out/quality/<time>-<run>.json`; returns where.

    Raises:
        OSError: it cannot be written.
    """
    folder = root / REGIONS_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    path = folder / f"{stamp}-{run_id}.json"
    staged = path.with_name(f".{path.name}.part")
    staged.write_bytes(orjson.dumps({"at": at, "run": run_id, "quality": dict(measured)}, option=orjson.OPT_INDENT_2))
    staged.replace(path)
    return path


def _read(paths: Iterable[Path], fold: Any) -> tuple[list[QualityPoint], int]:
    found: list[QualityPoint] = []
    broken = 0
    for path in paths:
        if path.name == LATEST:
            continue
        try:
            point = fold(orjson.loads(path.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            broken += 1
            continue
        if point is not None:
            found.append(point)
    return sorted(found, key=lambda point: point.at), broken


def index_point(said: Mapping[str, Any]) -> QualityPoint | None:
    """What an index report says of quality; None when nothing was asked then.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is no such report.
    """
    quality = said["quality"]
    if quality is None:
        return None
    strict = quality["metrics"]["strict"]
    change = (quality.get("change") or {}).get("strict") or {}
    gate = quality.get("gate")
    return QualityPoint(
        at=datetime.fromisoformat(said["at"]).timestamp(),
        subject="index",
        event=str(said["event"]),
        metrics={name: float(strict[name]["mean"]) for name in INDEX_METRICS if name in strict},
        asked=int(quality["queries"]),
        significant=bool(change["R@1"]["significant"]) if "R@1" in change else None,
        gate=None if gate is None else bool(gate["passed"]),
        reason="" if gate is None else str(gate["reason"]),
        refused=bool(said.get("refused")),
    )


def region_point(said: Mapping[str, Any]) -> QualityPoint | None:
    """What a report of `spotter quality` says.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is no such report.
    """
    quality = said["quality"]
    return QualityPoint(
        at=float(said["at"]),
        subject="regions",
        event=str(said["run"]),
        metrics={name: float(quality[name]) for name in REGION_METRICS if quality.get(name) is not None},
        asked=int(quality["pages"]),
    )


def compared(points: Sequence[QualityPoint]) -> tuple[QualityPoint, ...]:
    """Each measurement with what changed since the one before; one that was refused changes nothing for the next."""
    told: list[QualityPoint] = []
    before: QualityPoint | None = None
    for point in points:
        name = next(iter(point.metrics), "")
        if before is None or name not in before.metrics:
            told.append(point)
        else:
            by = point.metrics[name] - before.metrics[name]
            change: Change = "same" if abs(by) < NOTICEABLE else "better" if by > 0 else "worse"
            told.append(replace(point, change=change, by=by))
        if not point.refused:
            before = point
    return tuple(told)
