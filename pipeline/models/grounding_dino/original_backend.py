"""Grounding DINO by the reference code, as the package `groundingdino-py` has it.

Kept for who must reproduce that code. One pass waits for the device some 300 times, so it gains little from batches.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch

from pipeline.models.grounding_dino.backend import CachedText, Precision, arithmetic, in_float32, quiet
from pipeline.models.grounding_dino.checkpoint import Checkpoint
from pipeline.models.grounding_dino.keys import UNUSED, to_reference
from pipeline.models.grounding_dino.prompt import Prompt, read_tokenizer
from pipeline.models.grounding_dino.sizes import OUT_STAGES, Sizes, sizes_of_config, sizes_of_weights
from pipeline.models.loading import load_state

POSITION_TEMPERATURE = 20
"""Of the sine position embedding, in every published model."""

_building = threading.Lock()


class OriginalBackend:
    """The reference implementation, holding one checkpoint and one prompt."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        prompt: Prompt,
        *,
        precision: Precision = "float32",
        device: str = "cpu",
        cache_text: bool = True,
    ) -> None:
        """Load and place the model; the arguments are those of `TransformersBackend`.

        Raises:
            StageCrash: weights are missing, left over or of another shape.
        """
        self._precision: Precision = precision
        self._device = device
        self._prompt = prompt
        model = load_reference(checkpoint)
        self.queries = int(model.num_queries)
        if precision == "float16":
            # Weights stay float32: the decoder turns autocast off for itself, and would meet float16 ones there.
            for head in {model.transformer.enc_out_bbox_embed, *model.bbox_embed}:  # one head, shared by the layers
                in_float32(head)
        if cache_text:
            model.bert = CachedText(model.bert)
        self._model = model.to(device)

    def forward(self, images: torch.Tensor, mask: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Look at images; see `Backend.forward`."""
        from groundingdino.util.misc import NestedTensor

        height, width = images.shape[-2:]
        padding = images.new_zeros((len(images), height, width), dtype=torch.bool) if mask is None else ~mask.bool()
        with arithmetic(self._precision, self._device), _as_told_before():
            found = self._model(NestedTensor(images, padding), captions=[self._prompt.caption] * len(images))
        return found["pred_boxes"].float(), found["pred_logits"].float()


def load_reference(checkpoint: Checkpoint) -> Any:
    """The reference code's own model in float32 on the CPU, every weight of which comes from the checkpoint.

    It is what `groundingdino.util.inference.load_model` gives where that still works, and what its `predict` takes.

    Raises:
        StageCrash: weights are missing, left over or of another shape.
    """
    state = checkpoint.read_weights()
    if checkpoint.is_hub:
        sizes = sizes_of_config(checkpoint.hub_config())
        state = to_reference(state)
    else:
        sizes = sizes_of_weights(state, checkpoint.bert_config())
    model = _build(sizes, read_tokenizer(checkpoint.tokenizer))
    model.bert.pooler = None  # works for nobody, and the hub's checkpoints lack its weights
    tables = {name: table for name, table in model.state_dict().items() if UNUSED.search(name)}
    load_state(model, {**state, **tables}, f"Grounding DINO from {checkpoint.weights}")
    return model.eval()


def _build(sizes: Sizes, tokenizer: Any) -> Any:
    """The reference model with random weights, put together as its own `build_groundingdino` does.

    That function knows sizes by name only and fetches BERT's weights, which the checkpoint brings anyway.
    """
    with _as_told_before():
        from groundingdino.models.GroundingDINO.backbone.backbone import Joiner
        from groundingdino.models.GroundingDINO.backbone.position_encoding import build_position_encoding
        from groundingdino.models.GroundingDINO.backbone.swin_transformer import SwinTransformer
        from groundingdino.models.GroundingDINO.groundingdino import GroundingDINO
        from groundingdino.models.GroundingDINO.transformer import build_transformer

        swin = SwinTransformer(
            embed_dim=sizes.swin_dim, depths=list(sizes.swin_depths), num_heads=list(sizes.swin_heads),
            window_size=sizes.swin_window, out_indices=tuple(stage - 1 for stage in OUT_STAGES), dilation=False,
            use_checkpoint=False,
        )  # fmt: skip
        arguments = _arguments(sizes)
        backbone = Joiner(swin, build_position_encoding(arguments))
        backbone.num_channels = swin.num_features[1:]
        with _own_text_encoder(tokenizer, _bert(sizes)):
            return GroundingDINO(
                backbone, build_transformer(arguments), sizes.queries, aux_loss=True, iter_update=True, query_dim=4,
                num_feature_levels=sizes.levels, nheads=sizes.heads, two_stage_type="standard",
                dec_pred_bbox_embed_share=True, two_stage_class_embed_share=False, two_stage_bbox_embed_share=False,
                dn_number=0, text_encoder_type=tokenizer.name_or_path,
            )  # fmt: skip


def _arguments(sizes: Sizes) -> SimpleNamespace:
    """What the reference's configuration files say, with these sizes; dropout matters to training only."""
    return SimpleNamespace(
        hidden_dim=sizes.dim, nheads=sizes.heads, num_queries=sizes.queries, dim_feedforward=sizes.feedforward,
        enc_layers=sizes.encoder_layers, dec_layers=sizes.decoder_layers, num_feature_levels=sizes.levels,
        enc_n_points=sizes.encoder_points, dec_n_points=sizes.decoder_points,
        position_embedding="sine", pe_temperatureH=POSITION_TEMPERATURE, pe_temperatureW=POSITION_TEMPERATURE,
        dropout=0.0, text_dropout=0.0, fusion_dropout=0.0, fusion_droppath=0.0, pre_norm=False, query_dim=4,
        transformer_activation="relu", num_patterns=0, two_stage_type="standard", embed_init_tgt=True,
        use_text_enhancer=True, use_fusion_layer=True, use_checkpoint=False, use_transformer_ckpt=False,
        use_text_cross_attention=True,
    )  # fmt: skip


def _bert(sizes: Sizes) -> Any:
    """BERT with the three methods that the reference code calls and transformers 5 no longer has.

    They are put on this one object, in the meaning they had (`ModuleUtilsMixin` of transformers 4), and nowhere else.
    """
    from transformers import BertConfig, BertModel

    bert = BertModel(BertConfig.from_dict(dict(sizes.bert)))
    bert.get_head_mask = _head_mask
    bert.get_extended_attention_mask = _added_mask
    bert.invert_attention_mask = _added_mask
    return bert


def _head_mask(mask: Any, layers: int) -> list[None]:
    """No attention head is ever left out."""
    assert mask is None, "the reference code masks no attention heads"
    return [None] * layers


def _added_mask(mask: torch.Tensor, *_: Any) -> torch.Tensor:
    """(batch, tokens, tokens), true where a token may look → what is added to attention scores, for all heads."""
    return (1.0 - mask[:, None].float()) * torch.finfo(torch.float32).min


@contextmanager
def _own_text_encoder(tokenizer: Any, bert: Any) -> Iterator[None]:
    """Hand the reference code a tokenizer and a BERT while a model is built, where it would fetch both from the hub."""
    from groundingdino.util import get_tokenlizer

    with _building:
        plain = get_tokenlizer.get_tokenlizer, get_tokenlizer.get_pretrained_language_model
        get_tokenlizer.get_tokenlizer = lambda _: tokenizer
        get_tokenlizer.get_pretrained_language_model = lambda _: bert
        try:
            yield
        finally:
            get_tokenlizer.get_tokenlizer, get_tokenlizer.get_pretrained_language_model = plain


@contextmanager
def _as_told_before() -> Iterator[None]:
    """The reference code is of 2023: what torch, timm and transformers warn of it since then, nobody here can mend."""
    with warnings.catch_warnings(), quiet():
        warnings.simplefilter("ignore")
        yield
