"""Options that could cost money by a slip of the hand are refused before anything is asked or rented."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from console.cli import app
from console.operations.session import open_session
from console.workspace import create_workspace


@pytest.mark.parametrize("option", ["--max-usd", "--max-hours"])
@pytest.mark.parametrize("value", ["-5", "0", "nan", "inf"])
def test_a_limit_that_is_none_is_refused_before_the_machine_is_told(option: str, value: str) -> None:
    done = CliRunner().invoke(app, ["guard", "1", option, value, "--yes"])
    assert done.exit_code == 2
    assert "write a number above 0" in done.output


def test_a_plan_never_resumes_a_run(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["-C", str(tmp_path), "run", "--resume", "last", "--dry-run"])
    assert done.exit_code == 2
    assert "--dry-run plans new work" in done.output


def test_a_silent_cloud_does_not_hide_what_the_ledger_still_bills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = create_workspace(tmp_path)[0]
    here.settings_file.write_text('[cloud]\nname = "vast"\nurl = "http://127.0.0.1:9"\n')
    monkeypatch.setenv("VAST_API_KEY", "0" * 64)
    opened = open_session(here)
    opened.ledger.open_instance(
        opened.cloud_name, 4711, label="x", gpu_name="X", gpu_usd_per_hour=1.0, disk_usd_per_hour=0.0
    )
    done = CliRunner().invoke(app, ["-C", str(tmp_path), "ps"])
    assert done.exit_code == 1
    assert "still rented and billed: 4711" in done.output
