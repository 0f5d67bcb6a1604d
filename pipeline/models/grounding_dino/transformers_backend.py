"""Grounding DINO by `transformers`: batched, in float16, without a wait for the device inside a pass."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pipeline.core.errors import StageCrash
from pipeline.models.grounding_dino.backend import CachedText, Precision, arithmetic, halved, in_float32, quiet
from pipeline.models.grounding_dino.checkpoint import Checkpoint
from pipeline.models.grounding_dino.constants import KeptConstants, untouched
from pipeline.models.grounding_dino.keys import UNUSED, to_hub
from pipeline.models.grounding_dino.prompt import Prompt
from pipeline.models.grounding_dino.sizes import sizes_of_weights
from pipeline.models.loading import SHOWN

COMPILED_SHAPES = 64
"""Page sizes times batch sizes that may be compiled in one process before that is an error."""


class TransformersBackend:
    """The implementation of `transformers`, holding one checkpoint and one prompt."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        prompt: Prompt,
        *,
        precision: Precision = "float32",
        device: str = "cpu",
        compiler: str | None = None,
        cache_text: bool = True,
    ) -> None:
        """Load and place the model.

        Args:
            checkpoint: in either layout.
            prompt: what it looks for from now on.
            precision: float16 runs under autocast with box coordinates kept in float32.
            device: `cuda` or `cpu`.
            compiler: backend of torch.compile for the parts that take the time, image backbone and encoder; None
                runs them as they are.
            cache_text: read the caption once; False reads it again at every pass, which only a test wants.

        Raises:
            StageCrash: weights are missing, left over or of another shape.
        """
        # Every deformable layer compares two sizes that are equal by construction, and waits for the device to do so.
        os.environ["TRANSFORMERS_DISABLE_TORCH_CHECK"] = "1"
        self._precision: Precision = precision
        self._device = device
        self._prompt = prompt
        model = _load(checkpoint)
        self.queries = int(model.config.num_queries)
        if precision == "float16":
            halved(model)
            for head in {*model.bbox_embed, *model.model.decoder.bbox_embed, model.model.encoder_output_bbox_embed}:
                in_float32(head)
        if cache_text:
            model.model.text_backbone = CachedText(model.model.text_backbone)
        self._model = model.to(device)
        self._ids = torch.tensor([prompt.token_ids], device=device)
        self._constants = KeptConstants()
        if compiler is not None:
            _compile(model, compiler)
        for part in (model.model.backbone.conv_encoder, model.model.encoder, model.model.decoder):
            untouched(part)

    def forward(self, images: torch.Tensor, mask: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Look at images; see `Backend.forward`.

        Raises:
            StageCrash: a compiled model has met too many sizes.
        """
        ids = self._ids.expand(len(images), -1)
        with _few_sizes(), arithmetic(self._precision, self._device), self._constants:
            found = self._model(pixel_values=images, input_ids=ids, pixel_mask=mask)
            return found.pred_boxes.float(), found.logits.float()


@contextmanager
def _few_sizes() -> Iterator[None]:
    """Say that a run has pages of too many sizes, instead of letting every page of a further one fail for good."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ != "FailOnRecompileLimitHit":
            raise
        raise StageCrash(
            f"pages of more than {COMPILED_SHAPES} sizes are not compiled in one session: resume the run to go on with "
            "as many again, or plan it with detector.compile=false"
        ) from error


def _load(checkpoint: Checkpoint) -> Any:
    """A model in float32 on the CPU, every weight of which comes from the checkpoint."""
    from transformers import GroundingDinoForObjectDetection

    state = checkpoint.read_weights()
    if checkpoint.is_hub:
        config = checkpoint.hub_config()
    else:
        config = sizes_of_weights(state, checkpoint.bert_config()).hub_config()
        state = to_hub(state)
    with quiet():
        # The library renames what its models have come to call otherwise and shares what is shared. What it would only
        # warn of is an error here.
        model, told = GroundingDinoForObjectDetection.from_pretrained(
            None, config=config, state_dict=state, dtype=torch.float32, output_loading_info=True,
            ignore_mismatched_sizes=True,
        )  # fmt: skip
    _must_be_whole(checkpoint, told)
    return model.eval()


def _must_be_whole(checkpoint: Checkpoint, told: Any) -> None:
    """Nothing missing, nothing left over, nothing of another shape.

    Raises:
        StageCrash: naming the first few weights of each kind.
    """
    mismatched = [entry[0] if isinstance(entry, tuple) else entry for entry in told["mismatched_keys"]]
    problems = {
        "missing": [name for name in told["missing_keys"] if not UNUSED.search(name)],
        "unexpected": list(told["unexpected_keys"]),
        "of another shape": mismatched,
    }
    words = [
        f"{len(names)} {how}: {', '.join(sorted(names)[:SHOWN])}{' …' if len(names) > SHOWN else ''}"
        for how, names in problems.items()
        if names
    ]
    if words:
        raise StageCrash(
            f"Grounding DINO from {checkpoint.weights}: the weights do not fit the model ({'; '.join(words)}): "
            "name the checkpoint that belongs to it, or fetch it again (spotter weights fetch)"
        )


def _compile(model: Any, compiler: str) -> None:
    """Compile image backbone and encoder, one graph each; a shape that does not compile is an error."""
    import torch._dynamo

    torch._dynamo.config.recompile_limit = max(COMPILED_SHAPES, torch._dynamo.config.recompile_limit)
    swin, encoder = model.model.backbone.conv_encoder.model, model.model.encoder
    for part in (swin, encoder):
        part.forward = torch.compile(part.forward, fullgraph=True, dynamic=False, backend=compiler)
