"""SAM 2 small enough for a test: the true architecture in both layouts, one random state, pictures of 128 pixels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

SIDE_PX = 128
CHANNELS = 32
EMBED = 12
BLOCKS = [1, 1, 3, 1]
GLOBAL_BLOCKS = [3]
"""Not the first of a stage: the library divides by zero there."""
WINDOWS = [4, 2, 4, 2]

_YAML = f"""# @package _global_
model:
  _target_: sam2.modeling.sam2_base.SAM2Base
  image_encoder:
    _target_: sam2.modeling.backbones.image_encoder.ImageEncoder
    scalp: 1
    trunk:
      _target_: sam2.modeling.backbones.hieradet.Hiera
      embed_dim: {EMBED}
      num_heads: 1
      stages: {BLOCKS}
      global_att_blocks: {GLOBAL_BLOCKS}
      window_pos_embed_bkg_spatial_size: [4, 4]
      window_spec: {WINDOWS}
    neck:
      _target_: sam2.modeling.backbones.image_encoder.FpnNeck
      position_encoding:
        _target_: sam2.modeling.position_encoding.PositionEmbeddingSine
        num_pos_feats: {CHANNELS}
        normalize: true
        scale: null
        temperature: 10000
      d_model: {CHANNELS}
      backbone_channel_list: [{8 * EMBED}, {4 * EMBED}, {2 * EMBED}, {EMBED}]
      fpn_top_down_levels: [2, 3]
      fpn_interp_model: nearest
  memory_attention:
    _target_: sam2.modeling.memory_attention.MemoryAttention
    d_model: {CHANNELS}
    pos_enc_at_input: true
    layer:
      _target_: sam2.modeling.memory_attention.MemoryAttentionLayer
      activation: relu
      dim_feedforward: {CHANNELS}
      dropout: 0.1
      pos_enc_at_attn: false
      self_attention:
        _target_: sam2.modeling.sam.transformer.RoPEAttention
        feat_sizes: [8, 8]
        embedding_dim: {CHANNELS}
        num_heads: 1
        downsample_rate: 1
        dropout: 0.1
      d_model: {CHANNELS}
      pos_enc_at_cross_attn_keys: true
      pos_enc_at_cross_attn_queries: false
      cross_attention:
        _target_: sam2.modeling.sam.transformer.RoPEAttention
        feat_sizes: [8, 8]
        rope_k_repeat: true
        embedding_dim: {CHANNELS}
        num_heads: 1
        downsample_rate: 1
        dropout: 0.1
        kv_in_dim: 8
    num_layers: 1
  memory_encoder:
    _target_: sam2.modeling.memory_encoder.MemoryEncoder
    in_dim: {CHANNELS}
    out_dim: 8
    position_encoding:
      _target_: sam2.modeling.position_encoding.PositionEmbeddingSine
      num_pos_feats: 8
      normalize: true
      scale: null
      temperature: 10000
    mask_downsampler:
      _target_: sam2.modeling.memory_encoder.MaskDownSampler
      embed_dim: {CHANNELS}
      kernel_size: 3
      stride: 2
      padding: 1
    fuser:
      _target_: sam2.modeling.memory_encoder.Fuser
      layer:
        _target_: sam2.modeling.memory_encoder.CXBlock
        dim: {CHANNELS}
        kernel_size: 7
        padding: 3
        layer_scale_init_value: 1e-6
        use_dwconv: true
      num_layers: 1
  num_maskmem: 2
  image_size: {SIDE_PX}
  use_mask_input_as_output_without_sam: true
  directly_add_no_mem_embed: true
  no_obj_embed_spatial: true
  use_high_res_features_in_sam: true
  multimask_output_in_sam: true
  iou_prediction_use_sigmoid: true
  use_obj_ptrs_in_encoder: true
  add_tpos_enc_to_obj_ptrs: true
  proj_tpos_enc_in_obj_ptrs: true
  pred_obj_scores: true
  pred_obj_scores_mlp: true
  fixed_no_obj_ptr: true
  use_mlp_for_obj_ptr_proj: true
  compile_image_encoder: false
"""


def write_tiny_sam2(folder: Path, seed: int) -> None:
    """A checkpoint folder as the hub has them: the library's two files, and the authors' weights and configuration.

    The weights of both are the same random state. Those that only films need are there, too, as in the published files.
    """
    import torch
    from safetensors.torch import save_file

    from pipeline.models.sam2.keys import to_transformers

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sam2.1_hiera_tiny_test.yaml").write_text(_YAML)
    model = authors_model()
    shake(model, seed)
    state = model.state_dict()
    torch.save({"model": state}, folder / "sam2.1_hiera_tiny_test.pt")
    pictures = to_transformers(state)
    films = {name: value for name, value in _film_weights(seed).items() if name not in pictures}
    save_file({name: value.contiguous().clone() for name, value in {**films, **pictures}.items()},
              folder / "model.safetensors", metadata={"format": "pt"})  # fmt: skip
    (folder / "config.json").write_text(json.dumps(configuration(), indent=2))
    processor = {"image_processor_type": "Sam2ImageProcessorFast", "size": {"height": SIDE_PX, "width": SIDE_PX}}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=2))


def authors_model() -> Any:
    """The model as the authors' own builder makes it of their configuration file, films' part and all."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    unstable = "model.sam_mask_decoder_extra_args.dynamic_multimask_"
    configuration = OmegaConf.create(_YAML)
    for name, value in (("via_stability", True), ("stability_delta", 0.05), ("stability_thresh", 0.98)):
        OmegaConf.update(configuration, unstable + name, value, force_add=True)
    return instantiate(configuration.model, _recursive_=True).eval()


def keep_layout(folder: Path, target: Path, *names: str) -> Path:
    """A copy of a checkpoint folder with only the files that match `names`."""
    target.mkdir(parents=True)
    for name in names:
        for path in folder.glob(name):
            shutil.copy(path, target / path.name)
    return target


def configuration() -> dict[str, Any]:
    """`config.json` as the published checkpoints have it: of the model for films, which holds the one for pictures."""
    return {
        "architectures": ["Sam2VideoModel"],
        "model_type": "sam2_video",
        "image_size": SIDE_PX,
        "vision_config": {
            "model_type": "sam2_vision_model",
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": EMBED,
                "image_size": [SIDE_PX, SIDE_PX],
                "window_positional_embedding_background_size": [4, 4],
                "blocks_per_stage": BLOCKS,
                "embed_dim_per_stage": [EMBED, 2 * EMBED, 4 * EMBED, 8 * EMBED],
                "num_attention_heads_per_stage": [1, 2, 4, 8],
                "window_size_per_stage": WINDOWS,
                "global_attention_blocks": GLOBAL_BLOCKS,
            },
            "backbone_channel_list": [8 * EMBED, 4 * EMBED, 2 * EMBED, EMBED],
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
            "fpn_hidden_size": CHANNELS,
        },
        "prompt_encoder_config": {"hidden_size": CHANNELS, "image_size": SIDE_PX},
        "mask_decoder_config": {"hidden_size": CHANNELS},
    }


def shake(model: Any, seed: int) -> None:
    """Give every weight a random value of a trained one's size: as built, many are zero and hide what they do."""
    import torch

    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.state_dict().items()):
            noise = torch.randn(weight.shape, generator=source)
            if name.endswith("gaussian_matrix"):
                weight.copy_(noise)
            elif weight.ndim >= 2:
                fan_in = weight[0].numel() if weight.ndim > 1 else 1
                weight.copy_(noise / max(1.0, min(fan_in, 64)) ** 0.5)
            elif name.endswith("weight"):
                weight.copy_(1 + 0.1 * noise)
            else:
                weight.copy_(0.1 * noise)


def _film_weights(seed: int) -> dict[str, Any]:
    """A few weights under names that only the model for films has."""
    import torch

    source = torch.Generator().manual_seed(seed)
    names = ("memory_attention.layers.0.linear1.weight", "memory_encoder.projection.weight", "mask_downsample.weight",
             "object_pointer_proj.proj_in.weight", "memory_temporal_positional_encoding", "no_object_pointer",
             "no_memory_positional_encoding", "occlusion_spatial_embedding_parameter",
             "temporal_positional_encoding_projection_layer.weight")  # fmt: skip
    return {name: torch.randn((2, 2), generator=source) for name in names}
