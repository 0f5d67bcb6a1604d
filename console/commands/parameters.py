"""Parameters of a pipeline as they are written on the command line."""

from __future__ import annotations

from typing import Any

from console.commands.frame import fail


def parameters(pairs: list[str]) -> dict[str, Any]:
    """`key=value` pairs as parameters; values are YAML, dots go one level down, `detector=layout` names a part."""
    import yaml

    found: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        path = key.split(".")
        if not separator or not all(path):
            fail(f"--param wants key=value, not {pair!r}: for example --param dpi=200", 2)
        try:
            _put(found, path, yaml.safe_load(text))
        except yaml.YAMLError as error:
            reason = getattr(error, "problem", None) or "it cannot be read"
            fail(f"--param {key}: {text!r} is not YAML ({reason}): quote it, as in --param '{key}=\"…\"'", 2)
    return found


def _put(found: dict[str, Any], path: list[str], value: object) -> None:
    """Set one parameter. A part's bare name and what else is said of the part go together, in either order."""
    *outer, last = path
    for name in outer:
        inner = found.get(name)
        if not isinstance(inner, dict):
            inner = found[name] = {} if inner is None else {"name": inner}
        found = inner
    said = found.get(last)
    if isinstance(said, dict) and not isinstance(value, dict):
        said["name"] = value
    else:
        found[last] = value
