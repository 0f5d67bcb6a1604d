"""The patch that a review page exports: what a person decided about regions, one entry a region."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from index.errors import IndexProblem

KIND = "spotter-review"
VERSION = 1
MAX_BYTES = 256 * 1024 * 1024
"""A larger file is no patch: a decision takes 300 bytes."""

Status = Literal["accepted", "rejected", "corrected", "open"]
"""`corrected` regions are right as the patch tells them; `open` takes an earlier decision back."""
Name = Annotated[str, Field(min_length=1, max_length=1024)]


def _finite(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    if not all(map(math.isfinite, box)) or box[2] <= 0 or box[3] <= 0:
        raise ValueError("not a box: x, y, width, height with a positive width and height")
    return box


Bbox = Annotated[tuple[float, float, float, float], AfterValidator(_finite)]
"""x, y, width, height in page pixels (COCO)."""


class BadPatch(IndexProblem):
    """A file is no patch of a review page, or does not fit what it is about; the text says where."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Was(_Strict):
    """A region as its run tells it."""

    label: Name
    bbox_px: Bbox


class Decision(_Strict):
    """What was decided about one region."""

    run: Name
    """Whose region was looked at; its id is the same in every run that finds it again."""
    document: Name
    page: int = Field(ge=1)
    region: Name
    status: Status
    label: Name
    """As it is to be; of a region that was not corrected, its own."""
    bbox_px: Bbox
    was: Was

    @property
    def key(self) -> tuple[str, int, str]:
        """Which region: document, page, id."""
        return self.document, self.page, self.region

    @property
    def relabelled(self) -> bool:
        """Whether the label is another than the run's."""
        return self.status == "corrected" and self.label != self.was.label

    @property
    def moved(self) -> bool:
        """Whether the box is another than the run's."""
        return self.status == "corrected" and self.bbox_px != self.was.bbox_px


class Patch(_Strict):
    """A file of decisions."""

    kind: Literal["spotter-review"]
    version: Literal[1]
    made: str
    """When it was exported (ISO 8601)."""
    regions: tuple[Decision, ...]


@dataclass(frozen=True)
class PatchFile:
    """A patch as it was read, with its bytes, which name it."""

    patch: Patch
    data: bytes

    @property
    def digest(self) -> str:
        """First 12 hex digits of the SHA-256 of its bytes."""
        return hashlib.sha256(self.data).hexdigest()[:12]


def read_patch(path: Path) -> PatchFile:
    """Read a patch.

    Raises:
        BadPatch: it cannot be read, is no patch, or decides on one region twice.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadPatch(f"{path} is larger than {MAX_BYTES} bytes, so it is no patch of a review page.")
        data = path.read_bytes()
    except OSError as error:
        raise BadPatch(f"{path} cannot be read: {error.strerror}; name the file that the review page saved.") from error
    try:
        patch = Patch.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BadPatch(f"{path} is no patch of a review page: {where}: {first['msg']}.") from error
    seen: set[tuple[str, int, str]] = set()
    for decision in patch.regions:
        if decision.key in seen:
            raise BadPatch(f"{path} decides twice on region {decision.region} of {decision.document}.")
        seen.add(decision.key)
    return PatchFile(patch, data)


def patch_bytes(decisions: Sequence[Decision], made: str) -> bytes:
    """A patch as the review page writes it; the same decisions give the same bytes.

    Args:
        decisions: at most one a region.
        made: when (ISO 8601).
    """
    patch = Patch(kind=KIND, version=VERSION, made=made, regions=tuple(decisions))
    return patch.model_dump_json(indent=1).encode() + b"\n"
