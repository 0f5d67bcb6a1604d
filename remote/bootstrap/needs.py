"""What a box must be able to do: the inputs from which its bootstrap steps are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

Stack = Literal["cpu", "gpu", "original"]
"""cpu: the worker alone. gpu: with torch and transformers. original: with the reference packages too."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Model weights as one file below MODEL_DIR, told from any other by size and sha256.

    `urls` are tried in order. They may carry a signature: only their host and path are ever shown.
    """

    name: str
    size: int
    """Bytes."""
    sha256: str
    urls: tuple[str, ...]

    def __post_init__(self) -> None:
        parts = self.name.split("/")
        if not self.name or any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"a checkpoint's name is a path below MODEL_DIR, not {self.name!r}")
        if len(self.sha256) != 64 or set(self.sha256) - set("0123456789abcdef"):
            raise ValueError(f"checkpoint {self.name}: {self.sha256!r} is not a sha256 in lower-case hex")
        if self.size <= 0:
            raise ValueError(f"checkpoint {self.name}: its size is {self.size} bytes")
        for url in self.urls:
            if urlsplit(url).scheme not in ("http", "https"):
                raise ValueError(f"checkpoint {self.name}: a box fetches by http or https, not {urlsplit(url).scheme}")
        if not self.urls:
            raise ValueError(f"checkpoint {self.name} has no URL")


@dataclass(frozen=True, slots=True)
class BoxNeeds:
    """What is asked of a box beyond an interpreter and the agent."""

    stack: Stack = "cpu"
    gpu: bool = True
    """Whether torch, where the stack has it, must find a GPU; False: all models work on the processor."""
    jupyter: bool = False
    """JupyterLab in the worker's own environment; `remote.jupyter` registers the kernel and starts it."""
    checkpoints: tuple[Checkpoint, ...] = ()
    system_packages: tuple[str, ...] = ()
    """Debian packages that are handy; a box that cannot install them still works."""
    run_packages: tuple[str, ...] = ()
    """Debian packages without which the run cannot work, as `tesseract-ocr-rus`; a box that lacks them is not ready."""
    may_install_packages: bool = True
    """Not where the box is emulated: its system is this machine's."""
    index_url: str | None = None
    """Where packages come from instead of PyPI; no credentials in it."""
