"""Parameters of the `given` detector, and what planning makes of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.core.errors import UsageError
from pipeline.core.files import sha256_file
from pipeline.docparse.labels import LABELS, Label

MEDIA_TYPE = "application/vnd.spotter.regions+json"
"""What the file is called in a manifest, beside elements, which are JSON too."""


class GivenParams(BaseModel):
    """Regions from a file that people corrected, as the truth for everything after detection."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["given"] = "given"
    regions: str = Field(min_length=1)
    """The file, relative to the workspace: COCO, or Label Studio's JSON export."""
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Its digest, filled in by planning: a file that is changed later is another run's."""
    label_map: Mapping[str, Label] = Field(default_factory=dict)
    """The file's label → ours, where they differ."""
    other_pages: Literal["refuse", "empty"] = "refuse"
    """Pages that the file does not name: they are refused when the run is planned, or have no regions."""
    labels: tuple[Label, ...] = LABELS
    min_score: float = Field(default=0.0, ge=0, le=1)
    """What people drew has the score 1; what they left of a prediction has the prediction's."""


def with_digest(params: GivenParams, workspace: Path) -> GivenParams:
    """The parameters with the digest of the file that they name.

    Raises:
        UsageError: there is no such file in the workspace, or it is not the one that the parameters mean.
    """
    path = given_path(params, workspace)
    try:
        found = sha256_file(path)
    except OSError as error:
        raise UsageError(f"detector.regions: {params.regions!r} cannot be read at {path}: {error.strerror}") from error
    if params.sha256 is not None and params.sha256 != found:
        raise UsageError(
            f"detector.regions: {params.regions!r} has the digest {found[:12]}…, not {params.sha256[:12]}… as planned: "
            "put the planned file back, or plan a new run without detector.sha256"
        )
    return params.model_copy(update={"sha256": found, "regions": path.relative_to(workspace.resolve()).as_posix()})


def given_path(params: GivenParams, workspace: Path) -> Path:
    """Where the file lies on this machine.

    Raises:
        UsageError: it is outside of the workspace.
    """
    root = workspace.resolve()
    path = Path(os.path.normpath(root / params.regions))  # links inside stay: `data/` may lie on another disk
    if not path.is_relative_to(root):
        raise UsageError(f"detector.regions: {params.regions!r} lies outside the workspace {root}: copy it in")
    return path
