"""How an operator chooses who does what: in spotter.toml with a section for each, and for one run by --param."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from console.cli import app
from console.commands.parameters import parameters
from console.models.run_estimate import plan_details
from console.operations import offers
from console.operations.dry_run import DryRun
from console.operations.events import OperationEvent
from console.operations.plan import PlanError, docparse_params, plan
from console.operations.run_needs import NoReaderThere, check_reader
from console.operations.runbook import Runbook
from console.operations.session import Session, open_session
from console.screens.form_words import plan_text
from console.workspace import create_workspace
from pipeline.docparse.pipeline import PIPELINE
from remote.cloud import OfferQuery
from tests.end_to_end.driving import draw_pdf

CPU = ("detector.device=cpu", "detector.precision=float32")


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return open_session(create_workspace(tmp_path)[0])


def settled(session: Session, *lines: str) -> Session:
    path = session.workspace.settings_file
    path.write_text(path.read_text() + "\n".join(["", *lines, ""]))
    return open_session(session.workspace)


def parsed(session: Session, *pairs: str) -> dict[str, Any]:
    return PIPELINE.parse_params(docparse_params(session, ["data"], parameters(list(pairs)))).model_dump()


def test_every_section_that_the_template_offers_can_be_taken_as_it_stands(session: Session) -> None:
    path = session.workspace.settings_file
    offered = re.findall(r"(?m)^# \[pipelines\.docparse\.(.+)\]$", path.read_text())
    assert set(offered) == {"grounding-dino", "sam2", "given", "tesseract", "openai"}
    # vLLM or OpenAI: the line for the former is an alternative
    path.write_text(re.sub(r"(?m)^# (?!server)(?=\[|\w+ = )", "", path.read_text()))
    session = open_session(session.workspace)
    by_part = {"segmenter": "sam2", "ocr": "tesseract", "analyst": "openai"}
    for detector in ("grounding-dino", "given"):
        params = parsed(session, f"detector={detector}", *(f"{part}={name}" for part, name in by_part.items()))
        assert {part: params[part]["name"] for part in by_part} == by_part
        assert params["detector"]["name"] == detector
    assert params["detector"]["regions"] == "corrected.json"
    assert params["analyst"]["max_usd"] == 5.0


def test_a_section_holds_where_its_part_is_chosen_and_the_command_line_beats_it(session: Session) -> None:
    session = settled(
        session,
        "[pipelines.docparse.grounding-dino]",
        "min_score = 0.4",
        'checkpoint = "grounding-dino-base"',
        "[pipelines.docparse.arrange]",
        "nms_iou = 0.6",
    )
    assert parsed(session)["detector"] == {**parsed(session)["detector"], "name": "opencv", "min_score": 0.3}
    params = parsed(session, "detector=grounding-dino", "detector.min_score=0.5", "arrange.contained_share=0.7")
    assert (params["detector"]["min_score"], params["detector"]["checkpoint"]) == (0.5, "grounding-dino-base")
    assert (params["arrange"]["nms_iou"], params["arrange"]["contained_share"]) == (0.6, 0.7)


@pytest.mark.parametrize(
    "pairs", [["detector=layout", "detector.min_score=0.5"], ["detector.min_score=0.5", "detector=layout"]]
)
def test_a_part_and_what_it_is_told_are_said_in_either_order(pairs: list[str]) -> None:
    assert parameters(pairs) == {"detector": {"name": "layout", "min_score": 0.5}}


@pytest.mark.parametrize(
    ("pair", "told"),
    [("dpi", "wants key=value"), ("detector..name=x", "wants key=value"), ("detector.labels=[a", "'[a' is not YAML")],
)
def test_a_pair_that_is_none_is_told_in_one_line(pair: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        parameters([pair])
    assert ended.value.exit_code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_a_wrong_value_in_the_settings_is_told_with_its_section(session: Session) -> None:
    session = settled(session, "[pipelines.docparse.opencv]", "min_score = 30")
    with pytest.raises(PlanError, match=r"detector\.min_score: .*said in \[pipelines\.docparse\.opencv\] of spotter"):
        plan(session)
    with pytest.raises(PlanError) as told:
        plan(session, overrides={"detector": {"min_score": 40}})
    assert "spotter.toml" not in str(told.value)


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        (["detector=grounding-dino"], "detector grounding-dino cannot run on the local cloud, whose GPUs"),
        (["detector=grounding-dino", "detector.checkpoint=dino", *CPU], "there is no checkpoint 'dino'"),
        (["ocr=tesseract", "ocr.languages=[klingon]"], "Tesseract has no data for 'klingon' here, only for "),
        (["analyst=openai", "analyst.model=m"], "this run wants OPENAI_API_KEY"),
    ],
)
def test_what_would_be_refused_is_told_by_a_dry_run_and_refused_before_anything_is_rented(
    session: Session, monkeypatch: pytest.MonkeyPatch, pairs: list[str], told: str
) -> None:
    pytest.importorskip("transformers")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(offers, "find_offers", lambda *_: offers.Found([], 10.0, "no offer", OfferQuery()))
    draw_pdf(session.workspace.root / "data" / "doc.pdf", 1, "Value stack")
    command = ["-C", str(session.workspace.root), "run", *(word for pair in pairs for word in ("--param", pair))]
    dry = CliRunner().invoke(app, [*command, "--dry-run"])
    assert dry.exit_code == 2, dry.output
    assert "1 page of 1 document; no machine on offer: no offer" in dry.output
    assert f"would be refused: {told}" in dry.output
    assert Runbook(session.workspace).entries() == []
    real = CliRunner().invoke(app, command)
    assert real.exit_code == 2, real.output
    assert f"spotter: {told}" in real.output
    kept = Runbook(session.workspace).entries()
    assert [entry.machines for entry in kept] == ([()] if "analyst=openai" in pairs else []), "only a key may come yet"
    assert not list(session.workspace.local_cloud.glob("*")), "no marketplace was started for it"


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        (["detector=grounding-dino", *CPU], r"checkpoint grounding-dino-tiny is not in {root}/\.spotter/checkpoints/"),
        (["ocr=tesseract", "ocr.languages=[klingon]"], "Tesseract has no data for 'klingon' here, only for "),
    ],
)
def test_a_run_on_this_machine_is_refused_for_what_is_not_on_this_machine(
    session: Session, monkeypatch: pytest.MonkeyPatch, pairs: list[str], told: str
) -> None:
    pytest.importorskip("transformers")
    monkeypatch.delenv("MODEL_DIR", raising=False)
    monkeypatch.setattr(offers, "find_offers", lambda *_: pytest.fail("it asked for machines, and wants none"))
    root = session.workspace.root
    draw_pdf(root / "data" / "doc.pdf", 1, "Value stack")
    command = ["-C", str(root), "run", "--here", *(word for pair in pairs for word in ("--param", pair))]
    for more, before in (["--dry-run"], "would be refused: "), ([], "spotter: "):
        said = CliRunner().invoke(app, [*command, *more])
        assert said.exit_code == 2, said.output
        assert re.search(before + told.format(root=re.escape(str(root))), said.output), said.output
        assert Runbook(session.workspace).entries() == []


def test_no_machine_is_rented_for_a_language_that_none_can_be_given() -> None:
    with pytest.raises(NoReaderThere, match=r"ocr\.languages names: Debian has no package .*'klingon'"):
        check_reader(("klingon", "rus"), emulated=False)
    check_reader(("chi_sim", "rus"), emulated=False)


def test_what_of_the_sources_will_not_be_found_in_the_results_is_said(session: Session) -> None:
    data = session.workspace.root / "data"
    draw_pdf(data / "doc.pdf", 1, "Value stack")
    beyond = {"type": "Title", "text": "Lost", "metadata": {"page_number": 9, "filename": "doc.pdf"}}
    (data / "doc.pdf.json").write_text(json.dumps([beyond]))
    beyond["metadata"] = {"page_number": 1, "filename": "absent.pdf"}
    (data / "absent.pdf.json").write_text(json.dumps([beyond]))
    (data / "notes.txt").write_text("nothing to parse")
    said: list[OperationEvent] = []
    planned = plan(session, report=said.append)
    (warning,) = planned.warnings
    assert [problem.path for problem in planned.problems] == ["data/absent.pdf.json"], "a problem is told as one"
    assert "'data/doc.pdf.json' has 1 element on pages up to 9, but 'data/doc.pdf' has 1: left out" in warning
    assert [event.message for event in said if event.state == "progress"] == [f"⚠ {warning}"]
    assert any(event.message.endswith(", 1 file of other kinds passed over") for event in said)
    told = plan_details(session.workspace, planned, None)
    assert (told["warnings"], told["passed_over"]) == ((warning,), 1)


def test_a_dry_run_shows_the_first_warnings_and_no_machine_where_none_is_rented() -> None:
    warnings = tuple(f"warning {number}" for number in range(7))
    shown = plan_text(DryRun(1, 1, None, (), warnings=warnings, rents=False), "", fresh=True, planning=False).plain
    assert "⚠ warning 4\n… and 2 more" in shown
    assert "cheapest machine" not in shown
    assert "cheapest machine" in plan_text(DryRun(1, 1, None, ()), "", fresh=True, planning=False).plain


def test_a_dry_run_shows_the_price_of_the_instance_that_was_named() -> None:
    plan = DryRun(1, 1, 0.4, (), rents=False, instance=31245)
    shown = plan_text(plan, "", fresh=True, planning=False).plain
    assert "instance 31245: $0.400/h" in shown
    assert "cheapest machine" not in shown
