"""A wrong parameter is named as the operator wrote it, with what is wrong and what would be right."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.errors import UsageError
from pipeline.docparse.pipeline import PIPELINE

DINO = {"name": "grounding-dino"}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (
            {"detector": {**DINO, "min_score": 30}},
            r"parameter detector\.min_score: .* less than or equal to 1 \(it is 30\)",
        ),
        ({"detector": {"min_score": "high"}}, r"parameter detector\.min_score: .* valid number.* \(it is 'high'\)"),
        ({"detector": {**DINO, "min_scor": 0.3}}, r"parameter detector\.min_scor: .*did you mean min_score\?"),
        ({"detector": {"tile_px": 900}}, r"parameter detector\.tile_px: .* \(known: labels, min_score, name\)"),
        ({"detektor": {}}, r"parameter detektor: .*did you mean detector\?"),
        ({"detector": {**DINO, "device": "cpu"}}, r"parameter detector: float16 needs a GPU"),
        ({"detector": {"name": "given"}}, r"parameter detector\.regions: it must be said"),
        ({"detector": {"labels": ["nod"]}}, r"parameter detector\.labels\.0: .*'textbox' \(it is 'nod'\)"),
        (
            {"analyst": {"name": "openai", "model": "m", "base_url": "127.0.0.1:9"}},
            r"parameter analyst\.base_url: '127\.0\.0\.1:9' does not look like http://127\.0\.0\.1:8000/v1",
        ),
        ({"arrange": {"nms": 1}}, r"parameter arrange\.nms: .*did you mean nms_iou\?"),
    ],
)
def test_a_wrong_parameter_is_named_as_it_was_written(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        PIPELINE.parse_params({"sources": ["data"], **wrong})
