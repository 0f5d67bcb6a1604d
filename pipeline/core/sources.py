"""Where the bytes of a source lie on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import UsageError
from pipeline.core.manifest import Source


@dataclass(frozen=True, slots=True)
class Sources:
    """A workspace on the laptop, or a content-addressed store on a box: `<sha256[:2]>/<sha256>`."""

    root: Path
    by_content: bool

    def path(self, source: Source) -> Path:
        """The file of `source`, whether or not it is there."""
        if self.by_content:
            return self.root / source.sha256[:2] / source.sha256
        return self.root / source.path

    def check(self, sources: set[Source]) -> None:
        """Make sure that all `sources` are here before any work begins.

        Raises:
            UsageError: naming the first one that is missing or has another size than when it was planned.
        """
        for source in sorted(sources, key=lambda source: source.path):
            path = self.path(source)
            try:
                size = path.stat().st_size
            except OSError as error:
                how = "push the run's sources to it" if self.by_content else "put it back or plan the run again"
                raise UsageError(f"source {source.path!r} is not at {path} ({error.strerror}): {how}") from None
            if size != source.bytes:
                raise UsageError(
                    f"source {source.path!r} at {path} has {size} bytes, but had {source.bytes} when it was planned: "
                    "plan the run again"
                )
