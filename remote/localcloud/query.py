"""The market's query language: `{field: {operator: value}}` over rows, with values that may come as strings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

NOT_FILTERS = frozenset(
    {"order", "type", "limit", "allocated_storage", "disable_bundling", "select_cols", "q", "extra_ids"}
)


class BadQuery(Exception):
    """The query names a field or operator that does not exist."""


def matches(row: Row, filters: Mapping[str, Any]) -> bool:
    """Whether `row` passes every filter.

    Raises:
        BadQuery: an unknown field or operator.
    """
    for field, conditions in filters.items():
        if field in NOT_FILTERS:
            continue
        if field not in row:
            raise BadQuery(f"unknown field {field!r}")
        if not isinstance(conditions, Mapping):
            conditions = {"eq": conditions}
        for operator, wanted in conditions.items():
            if operator not in _OPERATORS:
                raise BadQuery(f"unknown operator {operator!r} for {field!r}")
            if not _OPERATORS[operator](row[field], wanted):
                return False
    return True


def ordered(rows: Iterable[Row], order: Sequence[Sequence[str]]) -> list[Row]:
    """Sorted by `[[field, "asc" | "desc"], …]`, the first field leading; unknown fields count as equal."""
    result = list(rows)
    for field, direction in reversed([(each[0], each[1] if len(each) > 1 else "asc") for each in order]):
        result.sort(key=lambda row: _sortable(row.get(field)), reverse=direction == "desc")
    return result


def _sortable(value: Any) -> tuple[int, Any]:
    if value is None:
        return (0, 0)
    return (1, float(value)) if isinstance(value, bool | int | float) else (2, str(value))


def _like(value: Any, wanted: Any) -> Any:
    """`wanted` as the type of `value`: clients send numbers and booleans as strings."""
    if isinstance(value, bool) and isinstance(wanted, str):
        return wanted.strip().lower() in ("true", "1", "yes")
    if isinstance(value, int | float) and isinstance(wanted, str):
        try:
            return float(wanted)
        except ValueError as error:
            raise BadQuery(f"{wanted!r} is not a number") from error
    return wanted


def _equal(value: Any, wanted: Any) -> bool:
    return bool(value == _like(value, wanted))


def _compared(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def test(value: Any, wanted: Any) -> bool:
        try:
            return value is not None and compare(value, _like(value, wanted))
        except TypeError as error:
            raise BadQuery(f"{wanted!r} cannot be compared with {value!r}") from error

    return test


def _one_of(value: Any, wanted: Any) -> bool:
    several = wanted if isinstance(wanted, list | tuple) else [wanted]
    return any(_equal(value, each) for each in several)


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": _equal,
    "neq": lambda value, wanted: not _equal(value, wanted),
    "gt": _compared(lambda value, wanted: value > wanted),
    "gte": _compared(lambda value, wanted: value >= wanted),
    "lt": _compared(lambda value, wanted: value < wanted),
    "lte": _compared(lambda value, wanted: value <= wanted),
    "in": _one_of,
    "notin": lambda value, wanted: not _one_of(value, wanted),
}
