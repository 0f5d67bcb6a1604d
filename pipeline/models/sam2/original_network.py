"""SAM 2 as its authors' package `sam2` has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from sam2.modeling.backbones.hieradet import Hiera
from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
from sam2.modeling.sam2_base import SAM2Base

from pipeline.models.loading import load_state
from pipeline.models.sam2.checkpoint import Sizes, open_checkpoint
from pipeline.models.sam2.keys import FILM_PREFIXES_ORIGINAL, to_original
from pipeline.models.sam2.network import Features, inference

# The authors' own builder adds these to the configuration of every model for pictures; without them a box's single mask
# is kept even when it is unstable.
_UNSTABLE_MASKS = {
    "dynamic_multimask_via_stability": True,
    "dynamic_multimask_stability_delta": 0.05,
    "dynamic_multimask_stability_thresh": 0.98,
}


class OriginalNetwork:
    """`SAM2Base` with its parts called one by one, so that boxes of many pictures share one decoder call."""

    def __init__(self, model: Any, device: torch.device, dtype: torch.dtype) -> None:
        """Takes a model with float32 weights; encoder and decoder get `dtype`, the placing of boxes keeps float32."""
        model.image_encoder.to(dtype)
        model.sam_mask_decoder.to(dtype)
        model.no_mem_embed.data = model.no_mem_embed.data.to(dtype)
        self._model = model.to(device).eval()
        self._dtype = dtype
        self.side_px = int(model.image_size)
        self._corners = torch.tensor([[2, 3]], dtype=torch.int32, device=device)
        with inference():
            self._positions = model.sam_prompt_encoder.get_dense_pe().to(dtype)

    @classmethod
    def load(cls, folder: Path, device: torch.device, dtype: torch.dtype) -> OriginalNetwork:
        """From a checkpoint's folder.

        Raises:
            StageCrash: the folder, its files or a weight is not what it should be.
        """
        return cls(load_model(folder), device, dtype)

    def encode(self, pictures: torch.Tensor) -> Features:
        """Normalised float32 pictures (pictures, 3, side, side) → their features."""
        with inference():
            fine, middle, coarse = self._model.forward_image(pictures.to(self._dtype))["backbone_fpn"]
            coarse = coarse.to(self._dtype) + self._model.no_mem_embed.view(1, -1, 1, 1)
        return Features(fine, middle, coarse)

    def decode(self, features: Features, rows: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One mask per box: logits (boxes, side ÷ 4, side ÷ 4) and quality (boxes,), float32."""
        with inference():
            points, dense = self._model.sam_prompt_encoder(
                points=(boxes.view(-1, 2, 2), self._corners.expand(len(boxes), 2)), boxes=None, masks=None
            )
            logits, quality, _, _ = self._model.sam_mask_decoder(
                image_embeddings=features.coarse[rows],
                image_pe=self._positions,
                sparse_prompt_embeddings=points.to(self._dtype),
                dense_prompt_embeddings=dense.to(self._dtype),
                multimask_output=False,
                repeat_image=False,
                high_res_features=[features.fine[rows], features.middle[rows]],
            )
        return logits[:, 0].float(), quality[:, 0].float()

    def compile(self, compiler: str = "inductor") -> None:
        """Have the encoder compiled when it first runs; an encoder that does not compile whole is an error."""
        self._model.image_encoder.compile(fullgraph=True, dynamic=False, backend=compiler)


def load_model(folder: Path) -> Any:
    """The package's own model from a checkpoint's folder: float32, in main memory, ready to predict.

    Raises:
        StageCrash: the folder, its files or a weight is not what it should be.
    """
    checkpoint = open_checkpoint(folder, prefer="authors")
    model = build(checkpoint.sizes)
    state = checkpoint.read_weights()
    own = model.state_dict()
    if checkpoint.layout == "hub":
        state = to_original(state, own)
    # What little of the films' part the package builds in any case is not read for pictures.
    films = {name: value for name, value in own.items() if name.startswith(FILM_PREFIXES_ORIGINAL)}
    load_state(model, {**state, **films}, f"SAM 2 from {checkpoint.weights}")
    return model.eval()


def build(sizes: Sizes) -> Any:
    """`SAM2Base` of these sizes with random weights, without the memory that only films need.

    Put together as the package's configuration files say, all of which differ in the sizes only.
    """
    trunk = Hiera(
        embed_dim=sizes.embed, num_heads=sizes.heads, stages=sizes.blocks, global_att_blocks=sizes.global_blocks,
        window_pos_embed_bkg_spatial_size=sizes.background, window_spec=sizes.windows,
    )  # fmt: skip
    neck = FpnNeck(
        PositionEmbeddingSine(num_pos_feats=sizes.channels, normalize=True, scale=None, temperature=10000),
        d_model=sizes.channels, backbone_channel_list=sizes.stage_channels[::-1], fpn_top_down_levels=[2, 3],
        fpn_interp_model="nearest",
    )  # fmt: skip
    return SAM2Base(
        ImageEncoder(trunk, neck, scalp=1), memory_attention=None, memory_encoder=None, image_size=sizes.side_px,
        directly_add_no_mem_embed=True, use_high_res_features_in_sam=True, iou_prediction_use_sigmoid=True,
        pred_obj_scores=True, pred_obj_scores_mlp=True, sam_mask_decoder_extra_args=_UNSTABLE_MASKS,
    )  # fmt: skip
