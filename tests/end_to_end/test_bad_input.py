"""What users get wrong: one clear sentence, an exit code, nothing lost, no traceback."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pymupdf
import pytest
from PIL import Image

from tests.end_to_end.driving import Operator, draw_pdf

ODD_NAMES = ["два слова.pdf", "quo'te\"s.pdf", "new\nline.pdf", "$(touch pwned); .pdf", "-rf.pdf"]


def refused(operator: Operator, *arguments: str, code: int, says: str) -> None:
    done = operator.run(*arguments, check=None)
    assert done.returncode == code, done.stdout + done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()[-1]) < 500


def encrypted(path: Path) -> None:
    document = pymupdf.open()
    document.new_page()
    document.save(path, encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="secret", owner_pw="secret")


def vast_page(path: Path) -> None:
    document = pymupdf.open()
    document.new_page(width=20_000 / 25.4 * 72, height=20_000 / 25.4 * 72)
    document.save(path)


def test_bad_documents_are_listed_with_their_reason_cost_only_themselves_and_are_not_paid_for_twice(
    operator: Operator,
) -> None:
    data = operator.root / "data"
    draw_pdf(data / "good.pdf", 2, "Value stack")
    whole = (data / "good.pdf").read_bytes()
    (data / "truncated.pdf").write_bytes(whole[: len(whole) // 3])
    encrypted(data / "locked.pdf")
    (data / "empty.png").write_bytes(b"")
    (data / "really text.png").write_text("это не картинка")
    vast_page(data / "vast.pdf")
    done = operator.run("run", check=3)
    for name in ("locked", "empty", "really text", "vast"):
        assert any(name in line and "✗" in line for line in done.stdout.splitlines()), (name, done.stdout)
    assert "password" in done.stdout or "encrypted" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    outcome = operator.run_entry()
    assert outcome["state"] == "incomplete"
    report = (operator.run_folder() / "report.md").read_text()
    assert "locked" in report
    assert operator.json("search", "layer 2")["hits"][0]["filename"] == "good.pdf"
    assert operator.instances() == []

    spent = operator.spent_usd()
    again = operator.run("run", check=3)
    for name in ("locked", "empty", "really text", "vast"):
        assert name in again.stdout
    assert operator.spent_usd() == spent > 0


def test_odd_file_names_go_through_every_part(operator: Operator) -> None:
    data = operator.root / "data"
    for name in ODD_NAMES:
        draw_pdf(data / name, 1, "Value stack")
    Image.new("RGB", (300, 200), "white").save(data / "картинка с пробелом.png")
    outcome = operator.json("run")
    assert outcome["state"] == "succeeded"
    found = {hit["filename"] for hit in operator.json("search", "value stack", "-k", "200")["hits"]}
    assert set(ODD_NAMES) <= found
    assert not list(operator.root.rglob("pwned*"))


def test_an_empty_folder_is_no_run(operator: Operator) -> None:
    refused(operator, "run", code=2, says="data")
    assert operator.json("runs") == []


def test_a_folder_without_workspace(tmp_path: Path) -> None:
    refused(Operator(tmp_path), "run", code=2, says="spotter init")


def test_a_workspace_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "spotter.toml").write_text("")
    (tmp_path / ".spotter").write_text("a file where a folder must be")
    refused(Operator(tmp_path), "offers", code=2, says="cannot be written")


def test_a_source_outside_the_workspace(operator: Operator, tmp_path: Path) -> None:
    draw_pdf(tmp_path / "elsewhere.pdf", 1, "x")
    refused(operator, "run", "docparse", str(tmp_path / "elsewhere.pdf"), code=2, says="outside the workspace")


def test_a_wrong_setting_is_named(operator: Operator) -> None:
    (operator.root / "spotter.toml").write_text("[money]\nmax_usd_per_day = 'viel'\n")
    refused(operator, "offers", code=2, says="money.max_usd_per_day")


def test_an_unknown_run_and_an_unknown_instance(operator: Operator) -> None:
    refused(operator, "run", "--resume", "nope", code=2, says="spotter runs")
    refused(operator, "logs", "nope", code=2, says="spotter runs")


def test_a_search_before_anything_was_parsed(operator: Operator) -> None:
    refused(operator, "search", "anything", code=2, says="no records")


def test_a_taken_port_is_named(operator: Operator) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = operator.run("cloud", "serve", "--port", str(port), check=None)
    assert done.returncode != 0
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr


def test_vast_without_a_key_names_both_ways_out(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAST_API_KEY", raising=False)
    (operator.root / "spotter.toml").write_text("[cloud]\nname = 'vast'\n")
    refused(operator, "offers", code=2, says="VAST_API_KEY")
    refused(operator, "offers", code=2, says='"local"')


def test_an_unknown_detector_is_refused_before_anything_is_rented(operator: Operator) -> None:
    draw_pdf(operator.root / "data" / "a.pdf", 1, "x")
    refused(operator, "run", "--param", "detector.name=magic", code=2, says="magic")
    assert json.loads(operator.run("ps", "--json").stdout)["spent_today_usd"] == operator.spent_usd() == 0


def test_money_needs_a_yes_when_there_is_nobody_to_ask(operator: Operator) -> None:
    refused(operator, "rent", code=2, says="--yes")


def test_the_console_without_a_terminal_says_what_to_do(operator: Operator) -> None:
    refused(operator, code=2, says="spotter --help")
