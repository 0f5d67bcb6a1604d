"""Loading weights into a model: every key and every shape fits, or it is an error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import StageCrash

SHOWN = 3


def load_state(model: Any, state: Mapping[str, Any], what: str) -> None:
    """Put `state` (name → tensor) into a torch module whose names and shapes it must match, one to one.

    Args:
        model: a torch.nn.Module.
        state: its weights.
        what: how an error calls it: "Grounding DINO from …/model.safetensors".

    Raises:
        StageCrash: a key is missing, left over, or of another shape; the first ones are named.
    """
    wanted = model.state_dict()
    missing = sorted(wanted.keys() - state.keys())
    unexpected = sorted(state.keys() - wanted.keys())
    mismatched = [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in sorted(wanted.keys() & state.keys())
        if tuple(state[name].shape) != tuple(wanted[name].shape)
    ]
    told = [
        f"{len(names)} {how}: {', '.join(names[:SHOWN])}{' …' if len(names) > SHOWN else ''}"
        for how, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", mismatched))
        if names
    ]
    if told:
        raise StageCrash(
            f"{what}: the weights do not fit the model ({'; '.join(told)}): name the checkpoint that belongs to it, "
            "or fetch it again (spotter weights fetch)"
        )
    model.load_state_dict(dict(state), strict=True)


def read_state(path: Path) -> Mapping[str, Any]:
    """Tensors of a `.safetensors` file, or of a `.pt`/`.pth` by torch's weights-only reader; never any code.

    Raises:
        StageCrash: it is no file of weights.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Mapping[str, Any] = load_file(path)
            return state
        import torch

        saved: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise StageCrash(f"{path} cannot be read as weights ({type(error).__name__}): fetch it again") from error
    return saved
