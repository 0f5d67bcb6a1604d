"""A checkpoint's folder in either published layout, read for either implementation.

Hub layout (`facebook/sam2.1-hiera-large`): `config.json` and `model.safetensors`, in the names of the `transformers`
library. Authors' layout: one `.pt` file, and its configuration beside it or, by the file's name, in the package `sam2`.
A folder with both is read as each implementation's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipeline.core.errors import StageCrash
from pipeline.models.loading import read_state
from pipeline.models.sam2.keys import FILM_PREFIXES_ORIGINAL, image_part

if TYPE_CHECKING:
    import torch

_HUB_PARTS = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
_PACKAGE_SIZES = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Everything that either implementation needs to be built for pictures; all else is alike in all of SAM 2."""

    side_px: int
    channels: int
    embed: int
    heads: int
    blocks: tuple[int, ...]
    """Blocks of every stage."""
    windows: tuple[int, ...]
    """Side of the attention windows, by stage."""
    global_blocks: tuple[int, ...]
    """Blocks whose attention sees everything."""
    background: tuple[int, int]
    """Grid of the position embedding that is stretched over the picture."""

    @property
    def stage_channels(self) -> list[int]:
        """Channels of every stage: twice as many as before."""
        return [self.embed * 2**stage for stage in range(len(self.blocks))]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights of SAM 2 for pictures, under the names of the layout that they came in."""

    layout: Literal["hub", "authors"]
    weights: Path
    sizes: Sizes

    def read_weights(self) -> dict[str, torch.Tensor]:
        """The weights that pictures need, in main memory.

        Raises:
            StageCrash: the file is no file of weights.
        """
        saved = read_state(self.weights)
        if self.layout == "hub":
            return image_part(saved)
        state = saved.get("model")
        if not isinstance(state, Mapping):
            raise StageCrash(f"{self.weights} holds no weights of SAM 2 under 'model': fetch it again")
        return {name: value for name, value in state.items() if not name.startswith(FILM_PREFIXES_ORIGINAL)}


def open_checkpoint(folder: Path, prefer: Literal["hub", "authors"]) -> Checkpoint:
    """Recognise a checkpoint's layout; `prefer` decides where the folder has both.

    Raises:
        StageCrash: it has neither, or its configuration is not one of SAM 2.
    """
    layouts = {"hub": _hub, "authors": _authors}
    for layout in (prefer, *(other for other in layouts if other != prefer)):
        found = layouts[layout](folder)
        if found is not None:
            return found
    raise StageCrash(
        f"{folder} is no checkpoint of SAM 2: it has neither model.safetensors with config.json, nor one .pt file"
    )


def _hub(folder: Path) -> Checkpoint | None:
    weights, configuration = folder / "model.safetensors", folder / "config.json"
    if not weights.is_file() or not configuration.is_file():
        return None
    with _told_by(configuration):
        from transformers import Sam2Config

        told = json.loads(configuration.read_bytes())
        # Of the model for films, which the published files describe; the parts for pictures are the same.
        parts = Sam2Config(**{part: told[part] for part in _HUB_PARTS})
        trunk: Any = parts.vision_config.backbone_config
        sizes = Sizes(
            parts.prompt_encoder_config.image_size, parts.vision_config.fpn_hidden_size,
            trunk.hidden_size, trunk.num_attention_heads_per_stage[0], tuple(trunk.blocks_per_stage),
            tuple(trunk.window_size_per_stage), tuple(trunk.global_attention_blocks),
            tuple(trunk.window_positional_embedding_background_size),
        )  # fmt: skip
    return Checkpoint("hub", weights, sizes)


def _authors(folder: Path) -> Checkpoint | None:
    found = sorted(folder.glob("*.pt"))
    if len(found) != 1:
        return None
    import yaml

    configuration = _configuration(found[0])
    with _told_by(configuration):
        model = yaml.safe_load(configuration.read_text())["model"]
        trunk: Mapping[str, Any] = model["image_encoder"]["trunk"]
        sizes = Sizes(
            model["image_size"], model["image_encoder"]["neck"]["d_model"], trunk["embed_dim"], trunk["num_heads"],
            tuple(trunk["stages"]), tuple(trunk.get("window_spec", _HIERA_WINDOWS)),
            tuple(trunk["global_att_blocks"]), tuple(trunk["window_pos_embed_bkg_spatial_size"]),
        )  # fmt: skip
    return Checkpoint("authors", found[0], sizes)


_HIERA_WINDOWS = (8, 4, 14, 7)
"""Of the configurations that name none: the default of the package's `Hiera`."""


class _told_by:  # noqa: N801 - reads as a sentence where it is used
    """Turns whatever a strange configuration causes into the sentence that names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KeyError | TypeError | ValueError):
            raise StageCrash(f"{self._path} does not describe a SAM 2: {type(error).__name__} {error}") from error


def _configuration(weights: Path) -> Path:
    """The authors' description of a weights file such as `sam2.1_hiera_large.pt`."""
    beside = sorted(weights.parent.glob("*.yaml"))
    if len(beside) == 1:
        return beside[0]
    family, _, size = weights.stem.partition("_hiera_")
    name = f"{family}_hiera_{_PACKAGE_SIZES.get(size, size)}.yaml"
    package = find_spec("sam2")
    for place in package.submodule_search_locations or () if package else ():
        packaged = Path(place) / "configs" / family / name
        if packaged.is_file():
            return packaged
    raise StageCrash(
        f"{weights.parent} has {len(beside)} .yaml files: put beside {weights.name} the one that describes it"
    )
