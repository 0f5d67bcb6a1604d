"""What Grounding DINO is given to read and to see: parameters, phrases, pages at its scale, tiles, names of weights."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.core.errors import StageCrash, UsageError
from pipeline.models.grounding_dino.keys import to_hub, to_reference, used
from pipeline.models.grounding_dino.params import GroundingDinoParams
from pipeline.models.grounding_dino.preprocess import Preprocessing, read_preprocessing
from pipeline.models.grounding_dino.prompt import make_prompt, read_tokenizer
from pipeline.models.grounding_dino.tiles import tiles_of
from tests.pipeline.tiny_gdino import write_tokenizer

PUBLISHED_SIZE = {"shortest_edge": 800, "longest_edge": 1333}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return read_tokenizer(folder)


# Parameters


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"prompts": {}}, "there are no prompts: give one phrase at least"),
        ({"prompts": {" ": "node"}}, "a prompt is empty"),
        ({"prompts": {"flow. chart": "diagram"}}, "'flow. chart' has a full stop or question mark"),
        ({"prompts": {"box": "shape"}}, "phrase 'box' is to find 'shape', which is no label: diagram, canvas"),
        ({"prompts": {"Text  Box": "textbox", "text box": "node"}}, "'Text  Box' and 'text box' are the same"),
        ({"negative_prompts": ["Table"]}, "'table' and 'Table' are the same: name it once"),
        ({"backend": "original", "compile": True}, "write compile: false, or backend: transformers"),
        ({"device": "cpu"}, "write precision: float32 with device: cpu"),
        ({"precision": "bfloat16"}, "Input should be 'float16' or 'float32'"),
        ({"tile_px": 100}, "greater than or equal to 256"),
    ],
)
def test_parameters_that_cannot_work_are_refused_with_what_to_write_instead(
    values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValidationError, match=sentence.replace("(", r"\(")):
        GroundingDinoParams.model_validate(values)


def test_every_label_is_looked_for_by_its_own_name_unless_told_otherwise() -> None:
    assert GroundingDinoParams().phrases == ("diagram", "canvas", "table", "legend", "node", "arrow", "textbox")
    assert GroundingDinoParams(negative_prompts=("watermark",)).phrases[-1] == "watermark"


# Phrases


def test_a_phrase_of_several_tokens_has_them_all_and_none_of_its_neighbours(tokenizer: Any) -> None:
    prompt = make_prompt(["diagram", "Text  Box", "legend", "a page border"], tokenizer)
    assert prompt.caption == "diagram . text box . legend . a page border ."
    read = [tokenizer.convert_ids_to_tokens(list(prompt.token_ids[first:end])) for first, end in prompt.spans]
    assert read == [["diagram"], ["text", "box"], ["leg", "##end"], ["a", "page", "border"]]
    assert prompt.phrases == ("diagram", "Text  Box", "legend", "a page border")


def test_a_phrase_scores_as_its_best_token_does(tokenizer: Any) -> None:
    prompt = make_prompt(["diagram", "text box"], tokenizer)
    logits = torch.full((1, 2, 256), -torch.inf)
    logits[0, :, : len(prompt.token_ids)] = -4.0
    (text, end) = prompt.spans[1]
    assert end - text == 2
    logits[0, 0, text + 1] = 1.0
    logits[0, 1, end] = 5.0  # the full stop after it
    scores = prompt.scores(logits)
    assert scores.shape == (1, 2, 2)
    expected = torch.tensor([[[-4.0, 1.0], [-4.0, -4.0]]]).sigmoid()
    assert torch.equal(scores, expected)


def test_phrases_that_the_model_reads_alike_are_refused(tokenizer: Any) -> None:
    with pytest.raises(UsageError, match="prompts 'table' and 'tablé' as the same"):
        make_prompt(["table", "tablé"], tokenizer)


def test_a_word_that_the_vocabulary_lacks_is_refused(tokenizer: Any) -> None:
    with pytest.raises(UsageError, match="'таблица' has a word or sign that the model's vocabulary lacks"):
        make_prompt(["table", "таблица"], tokenizer)


def test_more_than_256_tokens_are_refused(tokenizer: Any) -> None:
    phrases = [f"table {first}{second}" for first in "abcdefgh" for second in "abcdefgh"]
    with pytest.raises(UsageError, match="the 64 prompts make 258 tokens and the model reads 256"):
        make_prompt(phrases, tokenizer)
    assert len(make_prompt(phrases[:63], tokenizer).token_ids) == 254


def test_the_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    told = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))
    vocabulary = told["model"]["vocab"]
    vocabulary["."], vocabulary["?"] = vocabulary["?"], vocabulary["."]
    (tmp_path / "tokenizer.json").write_text(json.dumps(told), "utf-8")
    with pytest.raises(StageCrash, match="is not that of bert-base-uncased"):
        read_tokenizer(tmp_path)


def test_a_folder_without_a_tokenizer_is_an_error_and_nothing_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(StageCrash, match="has no tokenizer that can be read"):
        read_tokenizer(tmp_path)


# Pages


@settings(deadline=None)
@given(st.integers(1, 4000), st.integers(1, 4000))
def test_pages_are_seen_in_the_size_that_the_published_processor_gives_them(height: int, width: int) -> None:
    from transformers.image_transforms import get_size_with_aspect_ratio

    seen = Preprocessing().size_of(height, width)
    published = get_size_with_aspect_ratio((height, width), 800, 1333)
    assert seen == tuple(max(1, side) for side in published)
    assert max(seen) <= 1333 or seen == (height, width)


@pytest.mark.parametrize(("height", "width"), [(1755, 1240), (500, 700), (800, 1100), (600, 2000)])
def test_pages_look_to_the_model_as_those_of_the_published_processor(height: int, width: int) -> None:
    from PIL import Image
    from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil

    source = numpy.random.default_rng(height)
    coarse = source.integers(0, 256, (height // 7 + 1, width // 7 + 1, 3), dtype=numpy.uint8)
    pixels = numpy.ascontiguousarray(coarse.repeat(7, 0).repeat(7, 1)[:height, :width])
    ours = Preprocessing().to_input(torch.from_numpy(pixels)[None])
    published = GroundingDinoImageProcessorPil()(
        images=Image.fromarray(pixels[..., ::-1]),
        size=PUBLISHED_SIZE,
        return_tensors="pt",
    )["pixel_values"]
    assert ours.shape == published.shape
    apart = (ours - published).abs()
    assert apart.max() <= 1 / 255 / 0.224 + 1e-5
    assert (apart > 1e-5).float().mean() < 0.25


def test_a_page_of_the_right_size_is_only_normalised() -> None:
    pixels = torch.randint(0, 256, (1, 800, 900, 3), dtype=torch.uint8)
    seen = Preprocessing().to_input(pixels)
    red = (pixels[..., 2].float() / 255 - 0.485) / 0.229
    assert (seen[:, 0] - red).abs().max() < 1e-6


def test_a_checkpoint_that_says_nothing_of_its_scale_has_the_published_one(tmp_path: Path) -> None:
    assert read_preprocessing(tmp_path) == Preprocessing()
    (tmp_path / "preprocessor_config.json").write_text('{"size": {"height": 640, "width": 640}}')
    with pytest.raises(StageCrash, match="no size with shortest_edge and longest_edge"):
        read_preprocessing(tmp_path)


# Tiles


@settings(deadline=None)
@given(st.integers(1, 6000), st.integers(1, 6000), st.integers(256, 2000), st.floats(0, 0.5))
def test_tiles_cover_the_page_in_one_size_and_overlap_as_told(
    width: int, height: int, side: int, overlap: float
) -> None:
    tiles = tiles_of(width, height, side, overlap)
    if max(width, height) <= side:
        assert tiles == []
        return
    assert {(right - left, bottom - top) for left, top, right, bottom in tiles} == {
        (min(side, width), min(side, height))
    }
    for low, high, length in ((0, 2, width), (1, 3, height)):
        spans = sorted({(tile[low], tile[high]) for tile in tiles})
        assert spans[0][0] == 0
        assert spans[-1][1] == length
        for before, after in pairwise(spans):
            assert before[1] - after[0] >= int(overlap * side) - 1
    assert len(set(tiles)) == len(tiles)


# Names of weights


def test_names_are_told_there_and_back() -> None:
    hub = {
        "model.backbone.conv_encoder.model.encoder.layers.2.blocks.1.attention.self.query.weight": torch.full(
            (2, 2), 1.0
        ),
        "model.backbone.conv_encoder.model.encoder.layers.2.blocks.1.attention.self.key.weight": torch.full(
            (2, 2), 2.0
        ),
        "model.backbone.conv_encoder.model.encoder.layers.2.blocks.1.attention.self.value.weight": torch.full(
            (2, 2), 3.0
        ),
        "model.decoder.layers.4.encoder_attn_text.out_proj.bias": torch.ones(3),
        "model.text_backbone.embeddings.LayerNorm.weight": torch.ones(4),
        "model.nobody.knows": torch.ones(1),
    }
    reference = to_reference(hub)
    assert {name: tuple(tensor.shape) for name, tensor in reference.items()} == {
        "backbone.0.layers.2.blocks.1.attn.qkv.weight": (6, 2),
        "transformer.decoder.layers.4.ca_text.out_proj.bias": (3,),
        "bert.embeddings.LayerNorm.weight": (4,),
        "model.nobody.knows": (1,),
    }
    back = to_hub(reference)
    assert back.keys() == hub.keys()
    assert all(torch.equal(back[name], hub[name]) for name in hub)


def test_only_what_inference_never_reads_is_left_out() -> None:
    names = [
        "module.bert.pooler.dense.weight", "module.bert.embeddings.position_ids", "label_enc.weight",
        "backbone.0.layers.0.blocks.0.attn.relative_position_index", "module.bert.embeddings.LayerNorm.weight",
        "model.backbone.conv_encoder.model.swin.layernorm.bias", "transformer.tgt_embed.weight",
    ]  # fmt: skip
    assert list(used({name: torch.zeros(1) for name in names})) == [
        "bert.embeddings.LayerNorm.weight",
        "transformer.tgt_embed.weight",
    ]
