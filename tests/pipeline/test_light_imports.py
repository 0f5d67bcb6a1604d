"""What the console imports stays light, and the core knows no pipeline."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"cv2", "numpy", "pymupdf", "PIL", "torch", "sqlite3"}


@pytest.mark.parametrize("module", ["events", "records", "manifest", "artifacts", "rundir"])
def test_the_models_that_others_read_import_nothing_heavy(module: str) -> None:
    assert not imported_by(f"pipeline.core.{module}") & HEAVY


def test_the_command_line_and_docparse_stages_import_no_image_library_until_they_work() -> None:
    heavy = HEAVY - {"sqlite3"}
    assert not imported_by("pipeline.cli") & heavy
    assert not imported_by("pipeline.core.runner") & heavy
    assert not imported_by("pipeline.docparse.scan") & heavy
    assert not any(name.startswith("pipeline.docparse") for name in imported_by("pipeline.core.runner"))


def test_a_run_gives_its_work_away_without_what_the_work_needs() -> None:
    stages = (
        "p = pipeline.core.registry.load_pipeline('docparse'); p.make_stages(p.parse_params({'sources': ['data']}))"
    )
    assert not imported_by("pipeline.core.registry", stages) & (HEAVY - {"sqlite3"})


def test_opening_documents_needs_no_stages() -> None:
    assert "pipeline.core.worker" not in imported_by("pipeline.docparse.opening")


def imported_by(module: str, then: str = "pass") -> set[str]:
    script = f"import sys, {module}; {then}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())
