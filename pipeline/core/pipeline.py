"""A pipeline: a name, typed parameters, a scan that makes the manifest, and stages in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.core.errors import UsageError
from pipeline.core.manifest import Item
from pipeline.core.param_words import wrong_parameter
from pipeline.core.stage import Stage

if TYPE_CHECKING:
    from pipeline.core.outcome import Outcomes
    from pipeline.core.report import ReportTable


class RunParams(BaseModel):
    """Parameters that every pipeline has; none of these changes what a stage writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_error_rate: float | None = Field(default=None, ge=0, le=1)
    """Share of failed items above which the run stops and ends `failed`; None lets it go on whatever fails."""
    attempts: int = Field(default=3, ge=1, le=20)
    """How often an item is tried when its error is retryable or it takes its worker process down."""
    retry_backoff_s: float = Field(default=0.5, ge=0, le=60)
    """Pause before the second attempt; doubles with each further one, at most `MAX_BACKOFF_S`."""
    workers: int | None = Field(default=None, ge=1, le=256)
    """Worker processes; None means one per processor."""
    batch_size: int | None = Field(default=None, ge=1, le=4096)
    """Most items that a device takes at once; None leaves it to the stage."""


MAX_BACKOFF_S = 30.0


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that a scan passed over because the pipeline does not take its kind."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan found."""

    items: Sequence[Item]
    skipped: Sequence[Skipped] = field(default=())
    warnings: Sequence[str] = field(default=())


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A named DAG of stages over a manifest."""

    name: str
    version: str
    params_type: type[RunParams]
    scan: Callable[[Any, Path], Scan]
    """(parameters, workspace) → items. Raises UsageError when there is nothing to do."""
    stages: Callable[[Any], Sequence[Stage]]
    """Parameters → stages in an order in which every stage comes after those that it requires; cheap to call."""
    settle: Callable[[Any, Path], Any] = lambda params, _workspace: params
    """(parameters, workspace) → parameters with the files that they name pinned by digest. Raises UsageError."""
    noun: str = "item"
    """What an item is called where a person reads it: `page`, `image`."""
    means: Callable[[Any], str] = lambda _params: ""
    """Parameters → the chosen alternatives by name ("detector opencv · …"), shown beside every result."""
    tables: Callable[[Path, Outcomes], Sequence[ReportTable]] = lambda _run_dir, _outcomes: ()
    """(run folder, how its items fared) → what else its report tells."""

    def parse_params(self, values: object) -> RunParams:
        """Validate parameters.

        Raises:
            UsageError: naming the first wrong one.
        """
        try:
            return self.params_type.model_validate(values if values is not None else {})
        except ValidationError as error:
            raise UsageError(wrong_parameter(error, self.params_type, values)) from error

    def make_stages(self, params: RunParams) -> tuple[Stage, ...]:
        """The stages for these parameters, checked to be in order."""
        stages = tuple(self.stages(params))
        seen: set[str] = set()
        for stage in stages:
            missing = set(stage.requires) - seen
            if missing or stage.name in seen:
                raise TypeError(f"stage {stage.name} of {self.name} is doubled or comes before {sorted(missing)}")
            seen.add(stage.name)
        return stages


def read_params(path: Path) -> object:
    """Parse a params.yaml.

    Raises:
        UsageError: it is missing or not YAML.
    """
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
