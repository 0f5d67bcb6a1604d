"""SAM 2 as the `transformers` library has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import Sam2Config, Sam2HieraDetConfig, Sam2Model, Sam2VisionConfig

from pipeline.models.loading import load_state
from pipeline.models.sam2.checkpoint import Sizes, open_checkpoint
from pipeline.models.sam2.keys import to_transformers
from pipeline.models.sam2.network import Features, inference


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
        with inference():
            self._positions = model.get_image_wide_positional_embeddings().to(dtype)

    @classmethod
    def load(cls, folder: Path, device: torch.device, dtype: torch.dtype) -> TransformersNetwork:
        """From a checkpoint's folder.

        The published files describe the model for films; its parts for pictures are those of `Sam2Model`.

        Raises:
            StageCrash: the folder, its files or a weight is not what it should be.
        """
        checkpoint = open_checkpoint(folder, prefer="hub")
        state = checkpoint.read_weights()
        if checkpoint.layout == "authors":
            state = to_transformers(state)
        model = build(checkpoint.sizes)
        load_state(model, state, f"SAM 2 from {checkpoint.weights}")
        return cls(model, device, dtype)

    def encode(self, pictures: torch.Tensor) -> Features:
        """Normalised float32 pictures (pictures, 3, side, side) → their features."""
        with inference():
            fine, middle, coarse = self._model.get_image_embeddings(pictures.to(self._dtype))
        return Features(fine, middle, coarse)

    def decode(self, features: Features, rows: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One mask per box: logits (boxes, side ÷ 4, side ÷ 4) and quality (boxes,), float32."""
        with inference():
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

    def compile(self, compiler: str = "inductor") -> None:
        """Have the encoder compiled when it first runs; an encoder that does not compile whole is an error."""
        self._model.vision_encoder.compile(fullgraph=True, dynamic=False, backend=compiler)


def build(sizes: Sizes) -> Any:
    """`Sam2Model` of these sizes with random weights."""
    side = sizes.side_px
    trunk = Sam2HieraDetConfig(
        hidden_size=sizes.embed, image_size=[side, side],
        window_positional_embedding_background_size=list(sizes.background),
        blocks_per_stage=list(sizes.blocks), embed_dim_per_stage=sizes.stage_channels,
        num_attention_heads_per_stage=[sizes.heads * 2**stage for stage in range(len(sizes.blocks))],
        window_size_per_stage=list(sizes.windows), global_attention_blocks=list(sizes.global_blocks),
    )  # fmt: skip
    vision = Sam2VisionConfig(
        backbone_config=trunk, backbone_channel_list=sizes.stage_channels[::-1], fpn_hidden_size=sizes.channels,
        backbone_feature_sizes=[[side // stride, side // stride] for stride in (4, 8, 16)],
    )  # fmt: skip
    return Sam2Model(
        Sam2Config(
            vision_config=vision,
            prompt_encoder_config={"hidden_size": sizes.channels, "image_size": side},
            mask_decoder_config={"hidden_size": sizes.channels},
        )
    )
