"""The parameters of runs as flat lines, and what differs between two of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.words import visible


@dataclass(frozen=True, slots=True)
class Difference:
    """One parameter that is not the same in two runs; None where a run has no such parameter."""

    path: str
    before: str | None
    after: str | None


class ParametersMissing(Exception):
    """A run's parameters are not here any more; the text names the file."""


def read_parameters(run_folder: Path) -> dict[str, str]:
    """The parameters of a run, path by path, as they are written on the command line.

    Raises:
        ParametersMissing: the run's folder was cleared, or the file cannot be read.
    """
    import yaml

    path = run_folder / "params.yaml"
    try:
        told = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise ParametersMissing(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParametersMissing(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    return dict(flat(told)) if isinstance(told, Mapping) else {}


def flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """`detector.min_score` → `0.3`, in the order in which the values stand."""
    for name, value in values.items():
        path = f"{above}{visible(str(name))}"
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{path}.")
        else:
            yield path, written(value)


def written(value: object) -> str:
    """A value on one line, as YAML has it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(written(each) for each in value)}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{visible(str(key))}: {written(each)}" for key, each in value.items()) + "}"
    return visible(str(value))


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Difference, ...]:
    """What is not the same, in the order of `after`, then what only `before` has."""
    paths = [*after, *(path for path in before if path not in after)]
    return tuple(
        Difference(path, before.get(path), after.get(path)) for path in paths if before.get(path) != after.get(path)
    )
