"""The same weights under two names: as the hub's checkpoints call them, and as the reference code does.

A pure function of names and tensors in either direction. A name that neither knows is handed on as it is, so that
strict loading reports it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    State = Mapping[str, torch.Tensor]

_SWIN = ("model.backbone.conv_encoder.model.", "backbone.0.")
_BLOCK = (f"{_SWIN[0]}encoder.layers.#.blocks.#.", f"{_SWIN[1]}layers.#.blocks.#.")
_DEFORMABLE = ("model.encoder.layers.#.deformable_layer.", "transformer.encoder.layers.#.")
_TEXT = ("model.encoder.layers.#.text_enhancer_layer.", "transformer.encoder.text_layers.#.")
_FUSION = ("model.encoder.layers.#.fusion_layer.", "transformer.encoder.fusion_layers.#.")
_DECODER = ("model.decoder.layers.#.", "transformer.decoder.layers.#.")

_PREFIXES: tuple[tuple[str, str], ...] = tuple(
    (group[0] + ours, group[1] + theirs)
    for group, names in (
        (_SWIN, {"embeddings.patch_embeddings.projection.": "patch_embed.proj.",
                 "embeddings.norm.": "patch_embed.norm.",
                 "encoder.layers.#.downsample.": "layers.#.downsample.",
                 "hidden_states_norms.stage2.": "norm1.", "hidden_states_norms.stage3.": "norm2.",
                 "hidden_states_norms.stage4.": "norm3."}),
        (_BLOCK, {"layernorm_before.": "norm1.", "layernorm_after.": "norm2.", "attention.output.dense.": "attn.proj.",
                  "attention.self.relative_position_bias_table": "attn.relative_position_bias_table",
                  "intermediate.dense.": "mlp.fc1.", "output.dense.": "mlp.fc2."}),
        (_DEFORMABLE, {"self_attn.": "self_attn.", "self_attn_layer_norm.": "norm1.", "final_layer_norm.": "norm2.",
                       "fc1.": "linear1.", "fc2.": "linear2."}),
        (_TEXT, {"self_attn.out_proj.": "self_attn.out_proj.", "layer_norm_before.": "norm1.",
                 "layer_norm_after.": "norm2.", "fc1.": "linear1.", "fc2.": "linear2."}),
        (_FUSION, {"vision_param": "gamma_v", "text_param": "gamma_l", "layer_norm_vision.": "layer_norm_v.",
                   "layer_norm_text.": "layer_norm_l.", "attn.vision_proj.": "attn.v_proj.",
                   "attn.text_proj.": "attn.l_proj.", "attn.values_vision_proj.": "attn.values_v_proj.",
                   "attn.values_text_proj.": "attn.values_l_proj.", "attn.out_vision_proj.": "attn.out_v_proj.",
                   "attn.out_text_proj.": "attn.out_l_proj."}),
        (_DECODER, {"self_attn.out_proj.": "self_attn.out_proj.", "encoder_attn_text.out_proj.": "ca_text.out_proj.",
                    "encoder_attn.": "cross_attn.", "encoder_attn_layer_norm.": "norm1.",
                    "self_attn_layer_norm.": "norm2.", "final_layer_norm.": "norm3.",
                    "encoder_attn_text_layer_norm.": "catext_norm.", "fc1.": "linear1.", "fc2.": "linear2."}),
        (("model.decoder.", "transformer.decoder."),
         {"layer_norm.": "norm.", "reference_points_head.": "ref_point_head.", "bbox_embed.": "bbox_embed."}),
        (("", ""), {"model.text_backbone.": "bert.", "model.text_projection.": "feat_map.",
                    "model.input_proj_vision.": "input_proj.", "model.level_embed": "transformer.level_embed",
                    "model.query_position_embeddings.": "transformer.tgt_embed.",
                    "model.enc_output.": "transformer.enc_output.",
                    "model.enc_output_norm.": "transformer.enc_output_norm.",
                    "model.encoder_output_bbox_embed.": "transformer.enc_out_bbox_embed.",
                    "bbox_embed.": "bbox_embed."}),
    )
    for ours, theirs in names.items()
)  # fmt: skip
"""Beginnings of names, hub's and reference's; `#` stands for a number, the same in both."""

_FUSED: tuple[tuple[tuple[str, str, str], str], ...] = tuple(
    (tuple(f"{hub}{part}.{kind}" for part in ("query", "key", "value")), f"{reference}{joint}{kind}")  # type: ignore[misc]
    for hub, reference, joint in (
        (f"{_BLOCK[0]}attention.self.", f"{_BLOCK[1]}attn.", "qkv."),
        (f"{_TEXT[0]}self_attn.", f"{_TEXT[1]}self_attn.", "in_proj_"),
        (f"{_DECODER[0]}self_attn.", f"{_DECODER[1]}self_attn.", "in_proj_"),
        (f"{_DECODER[0]}encoder_attn_text.", f"{_DECODER[1]}ca_text.", "in_proj_"),
    )
    for kind in ("weight", "bias")
)
"""What the hub has as query, key and value and the reference as one tensor, in this order along its first side."""

UNUSED = re.compile(
    r"(^|\.)(pooler\.dense\.(weight|bias)|position_ids|relative_position_index)$"
    r"|^label_enc\.weight$|\.swin\.layernorm\.(weight|bias)$"
)
"""Entries of published checkpoints that inference never reads: BERT's pooler, tables that code makes itself, the labels
of denoising training, and a norm after Swin's last stage that the detector has no use for."""


def to_reference(state: State) -> dict[str, torch.Tensor]:
    """A state dict with the hub's names → the reference code's.

    The box head stands there once for every decoder layer, twice over; the hub's files may have it once.
    """
    import torch

    given = dict(state)
    named: dict[str, torch.Tensor] = {}
    for name in list(given):
        for parts, whole in _FUSED:
            numbers = _numbers(parts[0], name, whole_name=True)
            if numbers is None:
                continue
            names = [_filled(part, numbers) for part in parts]
            if all(part in given for part in names):
                named[_filled(whole, numbers)] = torch.cat([given.pop(part) for part in names])
    named |= {_renamed(name, 0, 1): tensor for name, tensor in given.items()}
    return _with_every_box_head(named)


def to_hub(state: State) -> dict[str, torch.Tensor]:
    """A state dict with the reference code's names → the hub's."""
    given = dict(state)
    named: dict[str, torch.Tensor] = {}
    for name in list(given):
        for parts, whole in _FUSED:
            numbers = _numbers(whole, name, whole_name=True)
            if numbers is not None:
                thirds = given.pop(name).chunk(3)
                named |= {_filled(part, numbers): third for part, third in zip(parts, thirds, strict=True)}
    return named | {_renamed(name, 1, 0): tensor for name, tensor in given.items()}


def used(state: State) -> dict[str, torch.Tensor]:
    """The entries that inference reads, without the `module.` that training on several devices puts before names."""
    plain = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return {name: tensor for name, tensor in plain.items() if not UNUSED.search(name)}


def _renamed(name: str, given: int, wanted: int) -> str:
    for prefixes in _PREFIXES:
        numbers = _numbers(prefixes[given], name)
        if numbers is not None:
            return _filled(prefixes[wanted], numbers) + name[len(_filled(prefixes[given], numbers)) :]
    return name


def _numbers(template: str, name: str, *, whole_name: bool = False) -> tuple[str, ...] | None:
    """The numbers in a name that a template fits, at its beginning or as a whole; None when it does not fit."""
    pattern = re.escape(template).replace(r"\#", r"(\d+)")
    found = re.fullmatch(pattern, name) if whole_name else re.match(pattern, name)
    return None if found is None else found.groups()


def _filled(template: str, numbers: tuple[str, ...]) -> str:
    for number in numbers:
        template = template.replace("#", number, 1)
    return template


def _with_every_box_head(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give every decoder layer its box head: its own where it is there, else the first layer's, which is shared."""
    layers = {int(found[1]) for name in state if (found := re.match(r"transformer\.decoder\.layers\.(\d+)\.", name))}
    first = {
        found[1]: tensor
        for name, tensor in state.items()
        if (found := re.fullmatch(r"(?:transformer\.decoder\.)?bbox_embed\.0\.(.+)", name))
    }
    for layer in sorted(layers):
        for rest, shared in first.items():
            names = [f"{place}bbox_embed.{layer}.{rest}" for place in ("", "transformer.decoder.")]
            own = next((state[name] for name in names if name in state), shared)
            state |= {name: own for name in names if name not in state}
    return state
