"""What both implementations of Grounding DINO have in common: how they are asked, and in which precision they run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import nn

from pipeline.models.grounding_dino.checkpoint import open_checkpoint

if TYPE_CHECKING:
    from pipeline.models.grounding_dino.prompt import Prompt

Precision = Literal["float16", "float32"]


class Backend(Protocol):
    """A loaded model that looks for one prompt."""

    queries: int
    """Boxes that it answers for every image."""

    def forward(self, images: torch.Tensor, mask: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Look at images.

        Args:
            images: float32, (batch, 3, height, width), normalised.
            mask: bool, (batch, height, width), true where an image has pixels; None when nothing is padding.
                Padding changes results by more than rounding, so callers batch images of one size.

        Returns:
            boxes: float32, (batch, queries, 4): centre x, centre y, width, height as shares of the image.
            logits: float32, (batch, queries, 256), -inf where the caption has no token.
        """


def load_backend(
    name: Literal["transformers", "original"],
    folder: Path,
    prompt: Prompt,
    *,
    precision: Precision = "float32",
    device: str = "cpu",
    compiled: bool = False,
    cache_text: bool = True,
) -> Backend:
    """Load a checkpoint, in either layout, into one of the implementations.

    Raises:
        StageCrash: the folder, its files or a weight is not what it should be.
    """
    checkpoint = open_checkpoint(folder)
    if name == "original":
        from pipeline.models.grounding_dino.original_backend import OriginalBackend

        return OriginalBackend(checkpoint, prompt, precision=precision, device=device, cache_text=cache_text)
    from pipeline.models.grounding_dino.transformers_backend import TransformersBackend

    return TransformersBackend(
        checkpoint, prompt, precision=precision, device=device, compiler="inductor" if compiled else None,
        cache_text=cache_text,
    )  # fmt: skip


class CachedText(nn.Module):  # type: ignore[misc]
    """Stands where the text encoder stood: reads the caption once, for one row, and gives every row that answer."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self._known: torch.Tensor | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As the encoder's; rows of the batch are taken to be the same caption."""
        from transformers.modeling_outputs import BaseModelOutput

        rows = (args[0] if args else kwargs["input_ids"]).shape[0]
        if self._known is None:
            first = self.encoder(*map(_first_row, args), **{name: _first_row(value) for name, value in kwargs.items()})
            self._known = first["last_hidden_state"]
        return BaseModelOutput(last_hidden_state=self._known.expand(rows, -1, -1))


def _first_row(value: Any) -> Any:
    return value[:1] if isinstance(value, torch.Tensor) else value


def halved(model: nn.Module) -> None:
    """Keep the weights of linear and convolution layers in float16, as autocast would cast them at every pass.

    Everything else stays float32: norms, embeddings, and with them whatever boxes are added up from. bfloat16 is no
    choice, because it resolves a box's side on a page of 1240 pixels to 5 pixels.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.half()


def in_float32(head: nn.Module) -> None:
    """Let a module that finds box coordinates work in float32 whatever the rest does."""
    head.float()
    plain = head.forward

    def forward(features: torch.Tensor) -> torch.Tensor:
        with torch.autocast(features.device.type, enabled=False):
            found: torch.Tensor = plain(features.float())
        return found

    head.forward = forward


@contextmanager
def arithmetic(precision: Precision, device: str) -> Iterator[None]:
    """Inference in the precision that was asked for: no TF32 where float32 was, no algorithm picked by timing."""
    cudnn = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    autocast = torch.autocast(device, dtype=torch.float16, enabled=precision == "float16")
    with torch.inference_mode(), cudnn, autocast:
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Keep progress bars, reports of loading and news of what will change one day off the terminal."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
