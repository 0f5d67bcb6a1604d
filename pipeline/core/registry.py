"""The pipelines by name; a pipeline's modules are imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

from pipeline.core.errors import UsageError
from pipeline.core.pipeline import Pipeline

REGISTRY: dict[str, str] = {"docparse": "pipeline.docparse.pipeline:PIPELINE"}
"""Name → `module:attribute`."""


def load_pipeline(name: str) -> Pipeline:
    """The pipeline registered under `name`, or the one at `module:attribute`.

    Raises:
        UsageError: there is none.
    """
    reference = REGISTRY.get(name, name)
    module, _, attribute = reference.partition(":")
    if not attribute:
        raise UsageError(
            f"there is no pipeline {name!r}: choose {', '.join(sorted(REGISTRY))}, or name module:attribute"
        )
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"pipeline {name!r} cannot be loaded: {error}") from error
    if not isinstance(found, Pipeline):
        raise UsageError(f"{reference} is not a Pipeline")
    return found
