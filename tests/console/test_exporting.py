"""Rows on screen as csv and json."""

import csv
import io
import json
from pathlib import Path

import pytest

from console.models.exporting import as_csv, as_json, write_listing
from console.screens.view import Listing


def listing(*rows: tuple[str | float | int | None, ...], name: str = "offers") -> Listing:
    return Listing(name, ("id", "name", "usd"), rows)


def test_both_files_hold_the_same_rows(tmp_path: Path) -> None:
    rows = ((1, "книга, том 1\nстр. 2", 0.25), (2, 'say "no"', None))
    csv_path, json_path = write_listing(listing(*rows), tmp_path / "exports", at=0)
    with csv_path.open(encoding="utf-8", newline="") as handle:
        assert list(csv.reader(handle)) == [
            ["id", "name", "usd"],
            ["1", "книга, том 1\nстр. 2", "0.25"],
            ["2", 'say "no"', ""],
        ]
    assert json.loads(json_path.read_text("utf-8")) == [
        {"id": 1, "name": "книга, том 1\nстр. 2", "usd": 0.25},
        {"id": 2, "name": 'say "no"', "usd": None},
    ]
    assert sorted(path.name for path in (tmp_path / "exports").iterdir()) == sorted((csv_path.name, json_path.name))


@pytest.mark.parametrize("text", ["=1+1", "+7", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("http://x")'])
def test_a_text_that_a_spreadsheet_would_run_is_made_harmless_in_csv_only(text: str) -> None:
    rows = listing((1, text, 1.0))
    [_, row] = list(csv.reader(io.StringIO(as_csv(rows), newline="")))
    assert row[1] == f"'{text}"
    assert json.loads(as_json(rows))[0]["name"] == text


def test_a_negative_number_stays_a_number() -> None:
    assert as_csv(listing((1, "x", -0.5))).splitlines()[1] == "1,x,-0.5"


def test_a_second_export_in_the_same_second_overwrites_nothing(tmp_path: Path) -> None:
    written = [write_listing(listing((n, "x", 0.1)), tmp_path, at=0)[0] for n in range(3)]
    assert len(set(written)) == 3
    assert [path.read_text().splitlines()[1] for path in written] == ["0,x,0.1", "1,x,0.1", "2,x,0.1"]


def test_a_name_from_elsewhere_stays_in_the_folder(tmp_path: Path) -> None:
    csv_path, _ = write_listing(listing(name="../../etc/passwd x"), tmp_path, at=0)
    assert csv_path.parent == tmp_path
    assert "/" not in csv_path.name


def test_no_rows_are_a_heading_and_an_empty_list(tmp_path: Path) -> None:
    csv_path, json_path = write_listing(listing(), tmp_path)
    assert csv_path.read_bytes() == b"id,name,usd\r\n"
    assert json.loads(json_path.read_text()) == []
