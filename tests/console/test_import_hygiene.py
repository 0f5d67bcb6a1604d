import subprocess
import sys

import pytest

HEAVY = ("torch", "chromadb", "vastai", "openai", "paramiko", "asyncssh", "aiohttp", "cv2", "pymupdf", "numpy", "PIL")

LATER = ("console.screens.fleet", "console.models.fleet", "console.palette", "console.widgets.confirm", "sqlite3",
         "textual.widgets._text_area")  # fmt: skip
"""What the first frame, which is the shell's, does not wait for."""


def loaded_after(statement: str) -> set[str]:
    script = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "not_yet"), [("import console.entry, console.cli", HEAVY), ("import console.app", (*HEAVY, *LATER))]
)
def test_the_consoles_path_stays_light(statement: str, not_yet: tuple[str, ...]) -> None:
    assert loaded_after(statement) & set(not_yet) == set()


def test_the_command_line_does_not_even_load_textual_or_pydantic() -> None:
    assert loaded_after("import console.cli") & {"textual", "pydantic", "rich"} == set()


@pytest.mark.parametrize("package", ["remote.cloud", "pipeline.core.records", "index.search"])
def test_the_packages_below_know_no_screen(package: str) -> None:
    assert "textual" not in loaded_after(f"import {package}")
