"""A form made from a pydantic model: its fields by JSON schema, their docs, what was changed, and what is wrong.

Nothing here knows a pipeline: a new parameter is in the form as soon as it is in the model.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Literal, get_args

from pydantic import BaseModel, ValidationError

from console.models.run_parameters import written

Kind = Literal["switch", "choice", "number", "text", "yaml"]
NOTHING = "null"
"""How the absence of a value is written."""


@dataclass(frozen=True, slots=True)
class FormField:
    """One line of a form."""

    path: str
    """As it is written on the command line: `detector.min_score`."""
    section: str
    """What comes before the last dot; empty at the top."""
    kind: Kind
    doc: str
    """What the model's author says of it; empty where he said nothing."""
    default: Any = None
    choices: tuple[str, ...] = ()
    optional: bool = False
    """Whether it may be null."""
    bounds: str = ""
    """`from 36 to 600`."""
    required: bool = False
    """Whether there is no default."""
    names_part: bool = False
    """Whether it chooses the alternative whose fields follow it."""


@dataclass(frozen=True, slots=True)
class FieldState:
    """One line with what it says."""

    field: FormField
    value: Any
    changed: bool
    """Whether it says something else than its default."""


def fields_of(model: type[BaseModel], values: Mapping[str, Any], *, hidden: Sequence[str] = ()) -> list[FormField]:
    """The fields of `model`; where one of several alternatives is chosen in `values`, those of the chosen one."""
    schema = _schema(model)
    return [
        field
        for field in _walk(schema, schema, values, "", _docs_by_class(model))
        if field.path.partition(".")[0] not in hidden
    ]


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _walk(
    node: Mapping[str, Any],
    schema: Mapping[str, Any],
    values: object,
    above: str,
    docs: Mapping[str, Mapping[str, str]],
) -> Iterator[FormField]:
    """The fields of an object of the schema, in their order; plain ones first, so that sections stay together."""
    told = values if isinstance(values, Mapping) else {}
    properties = node.get("properties", {})
    required = node.get("required", ())
    own_docs = docs.get(str(node.get("title", "")), {})
    nested: list[tuple[str, Mapping[str, Any]]] = []
    for name, part in properties.items():
        resolved = _resolve(part, schema)
        if "discriminator" in resolved or "properties" in resolved:
            nested.append((name, resolved))
        elif "const" not in resolved:
            yield _field(
                f"{above}{name}", resolved, name in required, part.get("description") or own_docs.get(name, "")
            )
    for name, part in nested:
        path = f"{above}{name}"
        if "discriminator" not in part:
            yield from _walk(part, schema, told.get(name), f"{path}.", docs)
            continue
        mapping: Mapping[str, str] = part["discriminator"]["mapping"]
        default = part.get("default") or {}
        chosen = _name_of(told.get(name)) or _name_of(default) or next(iter(mapping))
        alternative = _at(schema, mapping.get(chosen) or next(iter(mapping.values())))
        doc = alternative.get("description", "")
        yield FormField(
            f"{path}.name", path, "choice", doc, _name_of(default), tuple(mapping), names_part=True
        )  # fmt: skip
        yield from _walk(alternative, schema, told.get(name), f"{path}.", docs)


def _name_of(value: object) -> str:
    return str(value.get("name", "")) if isinstance(value, Mapping) else ""


def _resolve(part: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A property with what it refers to; what stands beside the reference wins."""
    if "$ref" in part:
        return {**_at(schema, part["$ref"]), **{key: value for key, value in part.items() if key != "$ref"}}
    return part


def _at(schema: Mapping[str, Any], reference: str) -> Mapping[str, Any]:
    found: Any = schema
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return dict(found)


def _field(path: str, part: Mapping[str, Any], required: bool, doc: str) -> FormField:
    options = [each for each in part.get("anyOf", (part,)) if each.get("type") != "null"]
    optional = len(options) < len(part.get("anyOf", (part,)))
    only = options[0] if len(options) == 1 else {}
    choices = tuple(written(each) for each in only.get("enum", ()))
    kinds: dict[str, Kind] = {"boolean": "switch", "integer": "number", "number": "number", "string": "text"}
    kind: Kind = "choice" if choices else kinds.get(str(only.get("type")), "yaml")
    return FormField(
        path, path.rpartition(".")[0], kind, " ".join(doc.split()), part.get("default"), choices, optional,
        _bounds(only), required,
    )  # fmt: skip


def _bounds(part: Mapping[str, Any]) -> str:
    words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<", "multipleOf": "÷"}
    return "  ".join(f"{sign} {part[name]:g}" for name, sign in words.items() if name in part)


# ---- docs ----


def _docs_by_class(model: type[BaseModel]) -> dict[str, Mapping[str, str]]:
    """Class name → field → what its author wrote below it; the schema itself holds no such words."""
    found: dict[str, Mapping[str, str]] = {}
    open_models: list[type[BaseModel]] = [model]
    while open_models:
        each = open_models.pop()
        if each.__name__ in found:
            continue
        found[each.__name__] = attribute_docs(each)
        for field in each.model_fields.values():
            open_models += _models_in(field.annotation)
    return found


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


@cache
def attribute_docs(model: type[BaseModel]) -> dict[str, str]:
    """Field → the string below it in the source, of the class and of those that it is made from."""
    docs: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if not (issubclass(each, BaseModel) and each is not BaseModel):
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(each)))
        except (OSError, TypeError, SyntaxError):
            continue  # a model without source has fields all the same
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for statement, below in pairwise(body):
            match statement, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(doc))):
                    docs[name] = inspect.cleandoc(doc)
    return docs


# ---- the form ----


class ParameterForm:
    """What is chosen in a form. `plan` makes the parameters out of what was changed, as the command itself does."""

    def __init__(
        self,
        model: type[BaseModel],
        plan: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        *,
        hidden: Sequence[str] = (),
    ) -> None:
        self._model = model
        self._plan = plan
        self._hidden = tuple(hidden)
        self.overrides: dict[str, Any] = {}
        """What differs from the defaults, as parameters are nested."""

    @property
    def fields(self) -> list[FormField]:
        """The lines, by what is chosen now."""
        return fields_of(self._model, self._plan(self.overrides), hidden=self._hidden)

    def states(self) -> list[FieldState]:
        """Every line with what it says now, worked out once for all of them."""
        now, by_default, before = (self._plan(each) for each in (self.overrides, _only_names(self.overrides), {}))
        states = []
        for field in fields_of(self._model, now, hidden=self._hidden):
            value = _get(now, field.path, field.default)
            default = _get(before if field.names_part else by_default, field.path, field.default)
            states.append(FieldState(field, value, _plain(value) != _plain(default)))
        return states

    def value(self, field: FormField) -> Any:
        """What a field says now."""
        return _get(self._plan(self.overrides), field.path, field.default)

    def default(self, field: FormField) -> Any:
        """What it says when nothing but the alternatives is chosen."""
        chosen = {} if field.names_part else _only_names(self.overrides)
        return _get(self._plan(chosen), field.path, field.default)

    def set(self, field: FormField, value: Any) -> None:
        """Say something; an alternative that is chosen anew begins with its own defaults."""
        self.reset(field)
        if _plain(value) != _plain(self.default(field)):
            _put(self.overrides, field.path, value)

    def reset(self, field: FormField) -> None:
        """Say the default again."""
        if field.names_part:
            self.overrides.pop(field.section, None)
        else:
            _drop(self.overrides, field.path)

    def read(self, field: FormField, text: str) -> Any:
        """What typed text says.

        Raises:
            ValueError: it is not YAML; one sentence.
        """
        import yaml

        stripped = text.strip()
        if not stripped and field.optional:
            return None
        if field.kind == "text":
            return None if field.optional and stripped == NOTHING else text
        try:
            return yaml.safe_load(stripped)
        except yaml.YAMLError as error:
            raise ValueError(getattr(error, "problem", None) or "it cannot be read") from error

    def cycled(self, field: FormField, step: int) -> Any:
        """The next value of a switch or a choice, or the one before."""
        value = self.value(field)
        if field.kind == "switch":
            return not value
        options: list[Any] = [*([None] if field.optional else []), *field.choices]
        now = options.index(written(value)) if written(value) in options else (0 if value is None else -1)
        return options[(now + step) % len(options)]

    def problem(self) -> str:
        """What the model says is wrong, in one sentence that names the parameter; empty while all is well."""
        from pipeline.core.param_words import wrong_parameter

        values = self._plan(self.overrides)
        try:
            self._model.model_validate(values)
        except ValidationError as error:
            return wrong_parameter(error, self._model, values)
        return ""

    def pairs(self) -> list[tuple[str, Any]]:
        """Path and value of everything that was changed, as `--param` takes them."""
        return list(_flat(self.overrides))


def as_typed(value: Any) -> str:
    """A value as YAML reads it back: strings bare where they mean themselves."""
    import yaml

    if isinstance(value, str):
        try:
            bare = yaml.safe_load(value) == value and value == value.strip()
        except yaml.YAMLError:
            bare = False
        return value if bare else json.dumps(value, ensure_ascii=False)
    if value is None:
        return NOTHING
    return json.dumps(value, ensure_ascii=False, default=_bare)


def _plain(value: Any) -> Any:
    """Tuples and lists, 1 and 1.0 are the same to whoever reads a form."""
    return json.loads(json.dumps(value, default=_bare))


def _bare(value: Any) -> Any:
    """What JSON has no word for: a tuple as a list, a date that YAML read as it is written."""
    return list(value) if isinstance(value, tuple | set | frozenset) else str(value)


def _get(values: object, path: str, default: Any) -> Any:
    for name in path.split("."):
        if not isinstance(values, Mapping) or name not in values:
            return default
        values = values[name]
    return values


def _put(values: dict[str, Any], path: str, value: Any) -> None:
    *outer, last = path.split(".")
    for name in outer:
        values = values.setdefault(name, {})
    values[last] = value


def _drop(values: dict[str, Any], path: str) -> None:
    first, dot, rest = path.partition(".")
    if not dot:
        values.pop(first, None)
    elif isinstance(values.get(first), dict):
        _drop(values[first], rest)
        if not values[first]:
            del values[first]


def _only_names(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The alternatives that were chosen, without what else was said of them."""
    return {
        part: {"name": said["name"]} for part, said in overrides.items() if isinstance(said, Mapping) and "name" in said
    }


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if name == "name" and above:
            yield above[:-1], value  # `detector=layout`
        elif isinstance(value, dict) and not above:
            yield from _flat(value, f"{name}.")
        else:
            yield f"{above}{name}", value
