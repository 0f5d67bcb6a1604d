"""What is wrong with a run's parameters, as the operator wrote them: one sentence with path, value and mend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo


def wrong_parameter(error: ValidationError, model: type[BaseModel], values: object) -> str:
    """The first thing that `model` found wrong with `values`, in one sentence.

    Pydantic's own path goes through the name of the chosen alternative (`detector.opencv.min_score`); the operator
    wrote `detector.min_score`, and gets that back.
    """
    first = error.errors()[0]
    path = _as_written(first["loc"], values, absent=first["type"] == "missing")
    where = ".".join(path) or "parameters"
    if first["type"] == "extra_forbidden":
        known = sorted(_known(model, first["loc"][:-1]))
        close = get_close_matches(path[-1], known, n=1)
        hint = f"did you mean {close[0]}? known: " if close else "known: "
        return f"parameter {where}: there is no such parameter ({hint}{', '.join(known)})"
    if first["type"] == "value_error":
        return f"parameter {where}: {first['msg'].removeprefix('Value error, ')}"
    if first["type"] == "missing":
        return f"parameter {where}: it must be said, for there is no default"
    given = first["input"]
    if first["type"] == "string_pattern_mismatch" and (like := _examples(model, first["loc"])):
        return f"parameter {where}: {given!r} does not look like {' or '.join(map(str, like))}"
    shown = f" (it is {given!r})" if isinstance(given, str | int | float | bool) else ""
    return f"parameter {where}: {first['msg']}{shown}"


def _as_written(loc: Sequence[int | str], values: object, *, absent: bool) -> list[str]:
    """`loc` without the steps that are in the model only: those to an alternative that was chosen by name.

    `absent`: its last step is to something that should be there and is not.
    """
    path = []
    for place, part in enumerate(loc):
        kept = absent and place == len(loc) - 1
        if isinstance(values, Mapping):
            if part not in values and not kept:
                continue
            values = values.get(part)
        elif isinstance(values, Sequence) and isinstance(part, int) and part < len(values):
            values = values[part]
        elif not kept:
            continue
        path.append(str(part))
    return path


def _examples(model: type[BaseModel], loc: Sequence[int | str]) -> Sequence[object]:
    """What the parameter at `loc` may look like, where it says so itself."""
    fields = [each.model_fields.get(str(loc[-1])) for each in _models_at(model, loc[:-1])]
    return next((field.examples for field in fields if field is not None and field.examples), ())


def _known(model: type[BaseModel], loc: Sequence[int | str]) -> set[str]:
    """The names of the parameters at `loc`; of several alternatives that fit, those of all."""
    return {name for each in _models_at(model, loc) for name in each.model_fields}


def _models_at(model: type[BaseModel], loc: Sequence[int | str]) -> list[type[BaseModel]]:
    models = [model]
    for part in loc:
        named = [each for each in models if _name(each) == part]
        if named:
            models = named
        else:
            fields = [each.model_fields[str(part)] for each in models if str(part) in each.model_fields]
            models = [found for field in fields for found in _models_in(field)]
    return models


def _name(model: type[BaseModel]) -> object:
    """By what a model is chosen among alternatives; None when it is none of several."""
    field = model.model_fields.get("name")
    return field.default if field is not None else None


def _models_in(field: FieldInfo) -> Iterator[type[BaseModel]]:
    open_types: list[Any] = [field.annotation]
    while open_types:
        each = open_types.pop()
        if isinstance(each, type) and issubclass(each, BaseModel):
            yield each
        else:
            open_types += get_args(each)
