"""Options that could cost money by a slip of the hand are refused before anything is asked or rented."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from console.cli import app


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
