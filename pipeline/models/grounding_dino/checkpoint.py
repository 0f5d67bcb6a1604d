"""A checkpoint's folder in either published layout, read for either implementation.

Hub layout (`IDEA-Research/grounding-dino-tiny`): `config.json`, `model.safetensors`, the tokenizer's files,
`preprocessor_config.json`. Reference layout (`groundingdino_swint_ogc.pth` as released): one `.pth` file, and in
`bert-base-uncased/` the text encoder's `config.json` and tokenizer; its weights are in the `.pth`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import StageCrash
from pipeline.models.grounding_dino.keys import used
from pipeline.models.loading import read_state

if TYPE_CHECKING:
    import torch

HUB_WEIGHTS = "model.safetensors"
TEXT_ENCODER = "bert-base-uncased"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a checkpoint's parts lie."""

    folder: Path
    weights: Path
    tokenizer: Path
    """The folder with the tokenizer's files."""

    @property
    def is_hub(self) -> bool:
        """Whether it is laid out, and its weights are named, as on the hub."""
        return self.weights.name == HUB_WEIGHTS

    def read_weights(self) -> dict[str, torch.Tensor]:
        """The weights that inference uses, in main memory, under the names that the file has.

        Raises:
            StageCrash: the file is no file of weights.
        """
        saved = read_state(self.weights)
        # The reference code saves its optimiser's leavings beside the model.
        return used(saved["model"] if isinstance(saved.get("model"), Mapping) else saved)

    def hub_config(self) -> Any:
        """The `GroundingDinoConfig` of a checkpoint in hub layout."""
        from transformers import GroundingDinoConfig

        return GroundingDinoConfig.from_pretrained(str(self.folder), local_files_only=True)

    def bert_config(self) -> Mapping[str, Any]:
        """What a checkpoint in reference layout says of its text encoder."""
        told: dict[str, Any] = json.loads((self.tokenizer / "config.json").read_text())
        return told


def open_checkpoint(folder: Path) -> Checkpoint:
    """Recognise a checkpoint's layout.

    Raises:
        StageCrash: the folder has neither.
    """
    if (folder / HUB_WEIGHTS).exists() and (folder / "config.json").exists():
        return Checkpoint(folder, folder / HUB_WEIGHTS, folder)
    found = sorted(folder.glob("*.pth"))
    if len(found) == 1 and (folder / TEXT_ENCODER / "config.json").exists():
        return Checkpoint(folder, found[0], folder / TEXT_ENCODER)
    raise StageCrash(
        f"{folder} is no checkpoint of Grounding DINO: it has neither {HUB_WEIGHTS} with config.json, "
        f"nor one .pth file with {TEXT_ENCODER}/config.json"
    )
