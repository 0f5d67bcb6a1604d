"""Numbers that a library uploads to the device at every pass, uploaded once.

`torch.tensor([…], device="cuda")` copies from pageable memory and waits until the device has done all that was queued
before. The library does so twice a pass, with values that depend on the picture's size and the caption's length only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

_MAKERS = (torch.tensor, torch.as_tensor)


class KeptConstants(TorchFunctionMode):  # type: ignore[misc]
    """While it is entered, a tensor made of Python numbers is the one that was made of the same numbers before.

    Nobody may write into such a tensor. What runs `untouched` inside is not looked at.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, torch.Tensor] = {}

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if function not in _MAKERS or not args or hasattr(args[0], "shape"):
            return function(*args, **named)
        key = f"{args!r} {named!r}"
        if key not in self._known:
            self._known[key] = function(*args, **named)
        return self._known[key]


def untouched(module: nn.Module) -> None:
    """Let a module make no detour by the mode above: it makes no constants, and a detour costs a microsecond a call."""
    plain = module.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        with torch._C.DisableTorchFunction():
            return plain(*args, **kwargs)

    module.forward = forward
