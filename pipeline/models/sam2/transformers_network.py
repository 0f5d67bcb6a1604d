"""SAM 2 as the `transformers` library has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import Sam2Config, Sam2Model

from pipeline.core.errors import StageCrash
from pipeline.models.loading import load_state
from pipeline.models.sam2.keys import image_part
from pipeline.models.sam2.network import Features

_PARTS = ("vision_config", "prompt_encoder_config", "mask_decoder_config")


class TransformersNetwork:
    """`Sam2Model` with its parts called one by one, so that boxes of many pictures share one decoder call."""

    def __init__(self, model: Any, device: torch.device, dtype: torch.dtype) -> None:
        """Takes a model with float32 weights; encoder and decoder get `dtype`, the placing of boxes keeps float32."""
        model.vision_encoder.to(dtype)
        model.mask_decoder.to(dtype)
        model.no_memory_embedding.data = model.no_memory_embedding.data.to(dtype)
        self._model = model.to(device).eval()
        self._dtype = dtype
        self.side_px = int(model.prompt_encoder.input_image_size)
        with torch.inference_mode():
            self._positions = model.get_image_wide_positional_embeddings().to(dtype)

    @classmethod
    def load(cls, folder: Path, device: torch.device, dtype: torch.dtype) -> TransformersNetwork:
        """From `config.json` and `model.safetensors`, as the hub has them.

        The published files describe the model for films; its parts for pictures are the same (`Sam2Model` reads them).
        """
        for name in ("config.json", "model.safetensors"):
            if not (folder / name).is_file():
                raise StageCrash(
                    f"{folder} has no {name}, which segmenter sam2 with backend transformers loads: name a checkpoint "
                    "in the layout of the transformers library (spotter weights list)"
                )
        config = json.loads((folder / "config.json").read_bytes())
        model = Sam2Model(Sam2Config(**{part: config[part] for part in _PARTS}))
        load_state(model, image_part(load_file(folder / "model.safetensors")), f"SAM 2 from {folder.name}")
        return cls(model, device, dtype)

    def encode(self, pictures: torch.Tensor) -> Features:
        """Normalised float32 pictures (pictures, 3, side, side) → their features."""
        with torch.inference_mode():
            fine, middle, coarse = self._model.get_image_embeddings(pictures.to(self._dtype))
        return Features(fine, middle, coarse)

    def decode(self, features: Features, rows: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One mask per box: logits (boxes, side ÷ 4, side ÷ 4) and quality (boxes,), float32."""
        with torch.inference_mode():
            points, dense = self._model.prompt_encoder(
                input_points=None, input_labels=None, input_boxes=boxes[:, None].contiguous(), input_masks=None
            )
            logits, quality, _, _ = self._model.mask_decoder(
                image_embeddings=features.coarse[rows],
                image_positional_embeddings=self._positions.expand(len(boxes), -1, -1, -1),
                sparse_prompt_embeddings=points.to(self._dtype),
                dense_prompt_embeddings=dense.to(self._dtype),
                multimask_output=False,
                high_resolution_features=[features.fine[rows], features.middle[rows]],
            )
        return logits[:, 0, 0].float(), quality[:, 0, 0].float()

    def compile(self) -> None:
        """Have the encoder compiled when it first runs."""
        self._model.vision_encoder.compile(dynamic=False)
