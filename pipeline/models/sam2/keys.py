"""Names of SAM 2's weights: as the authors' package calls them, and as the `transformers` library does.

The published checkpoints hold the network for pictures and the memory with which it follows objects through films.
Pictures need only the first; the second is named here, so that leaving it out hides no other missing weight.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch

FILM_PREFIXES_ORIGINAL = (
    "memory_attention.", "memory_encoder.", "mask_downsample.", "obj_ptr_proj.", "obj_ptr_tpos_proj.",
    "maskmem_tpos_enc", "no_mem_pos_enc", "no_obj_ptr", "no_obj_embed_spatial",
)  # fmt: skip
"""Weights of the authors' package that only films need."""
FILM_PREFIXES_TRANSFORMERS = (
    "memory_attention.", "memory_encoder.", "mask_downsample.", "object_pointer_proj.",
    "temporal_positional_encoding_projection_layer.", "memory_temporal_positional_encoding",
    "no_memory_positional_encoding", "no_object_pointer", "occlusion_spatial_embedding_parameter",
)  # fmt: skip
"""The same in the library."""

_IMAGE_POSITIONS = "shared_image_embedding.positional_embedding"
_PROMPT_POSITIONS = "prompt_encoder.shared_embedding.positional_embedding"

_POINT = re.compile(r"sam_prompt_encoder\.point_embeddings\.(\d+)\.weight")
_POINTS = "prompt_encoder.point_embed.weight"

_TRUNK, _BACKBONE = r"image_encoder\.trunk\.", "vision_encoder.backbone."
_LAYER, _LAYER_TOO = r"sam_mask_decoder\.transformer\.layers\.(\d+)\.", r"mask_decoder.transformer.layers.\1."
_LAST = r"sam_mask_decoder\.transformer\.final_attn_token_to_image\."
_LAST_TOO = "mask_decoder.transformer.final_attn_token_to_image."
_HEAD = r"sam_mask_decoder\.(iou_prediction_head|pred_obj_score_head|output_hypernetworks_mlps\.\d+)\.layers\."

# (in the package, in the library); the first rule that fits a whole name is the one.
_RULES: tuple[tuple[str, str], ...] = (
    (r"no_mem_embed", r"no_memory_embedding"),
    (_TRUNK + r"patch_embed\.proj\.(.+)", _BACKBONE + r"patch_embed.projection.\1"),
    (_TRUNK + r"(pos_embed|pos_embed_window)", _BACKBONE + r"\1"),
    (_TRUNK + r"blocks\.(\d+)\.norm([12])\.(.+)", _BACKBONE + r"blocks.\1.layer_norm\2.\3"),
    (_TRUNK + r"blocks\.(\d+)\.mlp\.layers\.0\.(.+)", _BACKBONE + r"blocks.\1.mlp.proj_in.\2"),
    (_TRUNK + r"blocks\.(\d+)\.mlp\.layers\.1\.(.+)", _BACKBONE + r"blocks.\1.mlp.proj_out.\2"),
    (_TRUNK + r"blocks\.(\d+)\.(attn\..+|proj\..+)", _BACKBONE + r"blocks.\1.\2"),
    (r"image_encoder\.neck\.convs\.(\d+)\.conv\.(.+)", r"vision_encoder.neck.convs.\1.\2"),
    (r"sam_prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix", _PROMPT_POSITIONS),
    (r"sam_prompt_encoder\.(no_mask_embed|not_a_point_embed)\.(.+)", r"prompt_encoder.\1.\2"),
    (r"sam_prompt_encoder\.mask_downscaling\.0\.(.+)", r"prompt_encoder.mask_embed.conv1.\1"),
    (r"sam_prompt_encoder\.mask_downscaling\.1\.(.+)", r"prompt_encoder.mask_embed.layer_norm1.\1"),
    (r"sam_prompt_encoder\.mask_downscaling\.3\.(.+)", r"prompt_encoder.mask_embed.conv2.\1"),
    (r"sam_prompt_encoder\.mask_downscaling\.4\.(.+)", r"prompt_encoder.mask_embed.layer_norm2.\1"),
    (r"sam_prompt_encoder\.mask_downscaling\.6\.(.+)", r"prompt_encoder.mask_embed.conv3.\1"),
    (r"sam_mask_decoder\.output_upscaling\.0\.(.+)", r"mask_decoder.upscale_conv1.\1"),
    (r"sam_mask_decoder\.output_upscaling\.1\.(.+)", r"mask_decoder.upscale_layer_norm.\1"),
    (r"sam_mask_decoder\.output_upscaling\.3\.(.+)", r"mask_decoder.upscale_conv2.\1"),
    (r"sam_mask_decoder\.transformer\.norm_final_attn\.(.+)", r"mask_decoder.transformer.layer_norm_final_attn.\1"),
    (_LAST + r"out_proj\.(.+)", _LAST_TOO + r"o_proj.\1"),
    (_LAST + r"([qkv])_proj\.(.+)", _LAST_TOO + r"\1_proj.\2"),
    (_LAYER + r"norm(\d)\.(.+)", _LAYER_TOO + r"layer_norm\2.\3"),
    (_LAYER + r"mlp\.layers\.0\.(.+)", _LAYER_TOO + r"mlp.proj_in.\2"),
    (_LAYER + r"mlp\.layers\.1\.(.+)", _LAYER_TOO + r"mlp.proj_out.\2"),
    (_LAYER + r"(self_attn|cross_attn_\w+)\.out_proj\.(.+)", _LAYER_TOO + r"\2.o_proj.\3"),
    (_LAYER + r"(self_attn|cross_attn_\w+)\.([qkv])_proj\.(.+)", _LAYER_TOO + r"\2.\3_proj.\4"),
    (_HEAD + r"0\.(.+)", r"mask_decoder.\1.proj_in.\2"),
    (_HEAD + r"1\.(.+)", r"mask_decoder.\1.layers.0.\2"),
    (_HEAD + r"2\.(.+)", r"mask_decoder.\1.proj_out.\2"),
    (r"sam_mask_decoder\.(iou_token|mask_tokens|obj_score_token|conv_s0|conv_s1)\.(.+)", r"mask_decoder.\1.\2"),
)  # fmt: skip


class UnknownWeight(KeyError):
    """A weight that SAM 2 doesn't have; the checkpoint is of another model."""

    def __str__(self) -> str:
        return str(self.args[0])


def to_transformers(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of the authors' package under the library's names; those that only films need are left out.

    The four kinds of points, which the package keeps one by one, become one table; both places where the library looks
    up positions get the same matrix.

    Raises:
        UnknownWeight: a name that the package doesn't have.
    """
    renamed: dict[str, torch.Tensor] = {}
    points: dict[int, torch.Tensor] = {}
    for name, value in state.items():
        if name.startswith(FILM_PREFIXES_ORIGINAL):
            continue
        point = _POINT.fullmatch(name)
        if point:
            points[int(point[1])] = value
        else:
            renamed[_renamed(name)] = value
    if points:
        renamed[_POINTS] = torch.cat([points[index] for index in sorted(points)])
    return with_both_positions(renamed)


def to_original(state: Mapping[str, torch.Tensor], names: Iterable[str]) -> dict[str, torch.Tensor]:
    """The other way: weights of the library under the package's `names` (of its model); films' weights are left out.

    Raises:
        UnknownWeight: a name that the package doesn't have, or that the library's weights lack.
    """
    renamed: dict[str, torch.Tensor] = {}
    for name in names:
        if name.startswith(FILM_PREFIXES_ORIGINAL):
            continue
        point = _POINT.fullmatch(name)
        theirs = _POINTS if point else _renamed(name)
        if theirs not in state:
            raise UnknownWeight(f"the weights lack {theirs!r}, which the package calls {name!r}")
        renamed[name] = state[theirs][int(point[1]) : int(point[1]) + 1] if point else state[theirs]
    return renamed


def image_part(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What a checkpoint in the library's names holds for pictures: without what only films need."""
    return with_both_positions(
        {name: value for name, value in state.items() if not name.startswith(FILM_PREFIXES_TRANSFORMERS)}
    )


def with_both_positions(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The matrix that places points and pixels is one in SAM 2; a file may name it once, the library wants it twice."""
    for one, other in ((_IMAGE_POSITIONS, _PROMPT_POSITIONS), (_PROMPT_POSITIONS, _IMAGE_POSITIONS)):
        if one in state and other not in state:
            state = {**state, other: state[one]}
    return state


def _renamed(name: str) -> str:
    for pattern, replacement in _RULES:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    raise UnknownWeight(f"SAM 2 has no weight {name!r}")
