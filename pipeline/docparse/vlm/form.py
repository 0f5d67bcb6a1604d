"""The form of an answer: pydantic models, and the strict JSON schema made of them, once."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.core.files import digest
from pipeline.docparse.labels import Label


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SaidEdge(_Said):
    """An arrow, as the model reads it."""

    source: str
    target: str
    label: str | None


class SaidSection(_Said):
    """A titled part, as the model reads it."""

    heading: str
    lines: list[str]


class SaidFact(_Said):
    """A fact with the quotes that it rests on."""

    subject: str
    predicate: str
    object: str
    text: str
    evidence: list[str] = Field(description="Verbatim quotes from the region's text, each a contiguous run of words.")


class SaidRegion(_Said):
    """All that the model says of one region."""

    number: int
    kind: Label = Field(description="What the region is, whatever the detector called it.")
    caption: str
    title: str | None
    headings: list[str]
    rows: list[list[str]]
    labels: list[str]
    edges: list[SaidEdge]
    sections: list[SaidSection]
    facts: list[SaidFact]


class SaidPart(_Said):
    """What the model says of a region inside the one that is asked about."""

    number: int
    caption: str


class Said(_Said):
    """One answer."""

    region: SaidRegion | None = Field(description="Null when the question's own region is null.")
    parts: list[SaidPart]


FORM_NAME = "region_description"


@cache
def strict_schema() -> dict[str, Any]:
    """The schema of `Said` as structured outputs want it: every field required, nothing else allowed, no defaults."""
    schema = _strict(Said.model_json_schema())
    assert isinstance(schema, dict)
    return schema


@cache
def schema_digest() -> str:
    """What the form is, in 64 hex digits."""
    return digest(strict_schema())


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        return [_strict(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _strict(value) for key, value in node.items() if key not in ("title", "default")}
    if isinstance(node.get("properties"), dict):
        # A property may itself be called `title`: names of properties are kept, titles of schemas are not.
        kept["properties"] = {name: _strict(value) for name, value in node["properties"].items()}
        kept["required"] = list(node["properties"])
        kept["additionalProperties"] = False
        if "description" in kept and node.get("type") == "object":
            del kept["description"]
    return kept
