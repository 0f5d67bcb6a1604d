"""The table of features in `docs/console.md`: a sign of ours stands only beside a test that there is."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TABLE = (HERE.parents[1] / "docs" / "console.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TABLE[TABLE.index("## What others have") :].splitlines()
    if line.startswith("| ") and not line.startswith("| |")
]


@cache
def functions_of(file: str) -> set[str]:
    tree = ast.parse((HERE / file).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_table_is_there() -> None:
    assert len(ROWS) >= 40


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_sign_has_its_test(row: list[str]) -> None:
    ours, proof = row[9], row[10]
    if ours.startswith("○"):
        assert not proof
        return
    named = re.fullmatch(r"`(test_\w+\.py)::(test_\w+)`", proof)
    assert named, f"{row[0]}: {proof!r} names no test"
    assert named[2] in functions_of(named[1]), f"{proof} is not there"
