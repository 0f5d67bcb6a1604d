"""How large a Grounding DINO is, told by its hub configuration or read off the reference code's weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import StageCrash

if TYPE_CHECKING:
    import torch

ATTENTION_HEADS = 8
"""Of every published model; weights alone do not tell heads from sampling points."""

OUT_STAGES = (2, 3, 4)
"""Swin's stages that the detector looks at, from 1; further levels are convolved from the last."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Everything that either implementation needs to be built."""

    swin_dim: int
    swin_depths: tuple[int, ...]
    swin_heads: tuple[int, ...]
    swin_window: int
    dim: int
    feedforward: int
    encoder_layers: int
    decoder_layers: int
    heads: int
    encoder_points: int
    decoder_points: int
    levels: int
    queries: int
    bert: Mapping[str, Any]
    """Arguments of transformers' `BertConfig`."""

    def hub_config(self) -> Any:
        """The same as a `GroundingDinoConfig`."""
        from transformers import GroundingDinoConfig

        return GroundingDinoConfig(
            backbone_config={
                "model_type": "swin", "embed_dim": self.swin_dim, "depths": list(self.swin_depths),
                "num_heads": list(self.swin_heads), "window_size": self.swin_window, "out_indices": list(OUT_STAGES),
            },
            text_config={"model_type": "bert", **self.bert},
            d_model=self.dim, encoder_ffn_dim=self.feedforward, decoder_ffn_dim=self.feedforward,
            encoder_layers=self.encoder_layers, decoder_layers=self.decoder_layers,
            encoder_attention_heads=self.heads, decoder_attention_heads=self.heads,
            encoder_n_points=self.encoder_points, decoder_n_points=self.decoder_points,
            num_feature_levels=self.levels, num_queries=self.queries,
        )  # fmt: skip


def sizes_of_config(config: Any) -> Sizes:
    """Sizes of a `GroundingDinoConfig`.

    Raises:
        StageCrash: the reference code has no model of this kind.
    """
    swin, text = config.backbone_config, config.text_config
    if swin.model_type != "swin" or tuple(swin.out_indices) != OUT_STAGES or text.model_type != "bert":
        raise StageCrash(
            f"the original backend knows Swin with BERT, not {swin.model_type} with {text.model_type}: "
            "write backend: transformers"
        )
    if config.encoder_ffn_dim != config.decoder_ffn_dim or not config.decoder_bbox_embed_share:
        raise StageCrash("the original backend has one width and one box head: write backend: transformers")
    return Sizes(
        swin.embed_dim, tuple(swin.depths), tuple(swin.num_heads), swin.window_size, config.d_model,
        config.encoder_ffn_dim, config.encoder_layers, config.decoder_layers, config.encoder_attention_heads,
        config.encoder_n_points, config.decoder_n_points, config.num_feature_levels, config.num_queries,
        text.to_diff_dict(),
    )  # fmt: skip


def sizes_of_weights(state: Mapping[str, torch.Tensor], bert: Mapping[str, Any]) -> Sizes:
    """Sizes of a model whose weights have the reference code's names.

    Raises:
        StageCrash: a weight that tells a size is not there.
    """
    try:
        swin = "backbone.0.layers"
        depths = tuple(
            _count(state, rf"{re.escape(swin)}\.{stage}\.blocks\.(\d+)\.")
            for stage in range(_count(state, rf"{re.escape(swin)}\.(\d+)\."))
        )
        tables = [state[f"{swin}.{stage}.blocks.0.attn.relative_position_bias_table"] for stage in range(len(depths))]
        levels, dim = state["transformer.level_embed"].shape
        weights = [
            state[f"transformer.{part}.attention_weights.weight"].shape[0]
            for part in ("encoder.layers.0.self_attn", "decoder.layers.0.cross_attn")
        ]
        return Sizes(
            state["backbone.0.patch_embed.proj.weight"].shape[0], depths, tuple(table.shape[1] for table in tables),
            (isqrt(tables[0].shape[0]) + 1) // 2, dim, state["transformer.encoder.layers.0.linear1.weight"].shape[0],
            _count(state, r"transformer\.encoder\.layers\.(\d+)\."),
            _count(state, r"transformer\.decoder\.layers\.(\d+)\."),
            ATTENTION_HEADS, weights[0] // (ATTENTION_HEADS * levels), weights[1] // (ATTENTION_HEADS * levels),
            levels, state["transformer.tgt_embed.weight"].shape[0], bert,
        )  # fmt: skip
    except KeyError as error:
        raise StageCrash(f"these are no weights of Grounding DINO: {error.args[0]} is not among them") from error


def _count(state: Mapping[str, torch.Tensor], pattern: str) -> int:
    """How many numbers a name has at one place, counted from 0."""
    return 1 + max((int(found[1]) for name in state if (found := re.match(pattern, name))), default=-1)
