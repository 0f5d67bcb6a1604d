"""What every test needs of its own process."""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.docparse import mupdf

if TYPE_CHECKING:
    from tests.lanes import LaneScheduling

HERE = Path(__file__).parent

# A process started in the background of a shell has SIGINT ignored, and so would every process that tests start:
# Ctrl-C is part of what is tested here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests start hundreds of processes that load the same modules: compiled once is enough, whatever the shell says.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# What tests read is English, whatever the shell speaks; names are UTF-8 there as here.
if [name for name in ("SPOTTER_LANG", "LC_ALL", "LC_MESSAGES", "LANGUAGE", "LANG") if os.environ.pop(name, None)]:
    os.environ["LANG"] = "C.UTF-8"

# Several workers share few processors: threads of BLAS and of OpenMP would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(optionalhook=True)  # without xdist (-p no:xdist) nobody asks
def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are processors: these tests wait for processes, connections and clocks half of the time."""
    return (os.cpu_count() or 1) + 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LaneScheduling | None:
    """What waits is dealt beside what computes, under `--dist loadgroup`."""
    from tests.lanes import LaneScheduling

    return LaneScheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_configure(config: pytest.Config) -> None:
    """xdist's own mark is known without xdist too."""
    config.addinivalue_line("markers", "xdist_group(name): tests that one worker runs, one after another")


def pytest_collection() -> None:
    """Load PyMuPDF as the product does: `import pymupdf` in a test would load its layout model too, for a second."""
    mupdf.load()


def pytest_collection_finish() -> None:
    """Leave what was imported and collected to itself: every full collection of garbage would walk through all of it.

    With thousands of tests in one process much of the processor time went there. What comes later is looked through
    at every ten thousandth new object instead of at every seven hundredth.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 5)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow ones, then with those that stay together, so that all end with what is short.

    Tests that share what their module makes once stay together: every other worker would make it again.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None and _shares_with_its_module(item):
            item.add_marker(pytest.mark.xdist_group(item.path.relative_to(HERE).with_suffix("").as_posix()))
    items.sort(key=lambda item: [item.get_closest_marker(name) is None for name in ("slow", "xdist_group")])


def _shares_with_its_module(item: pytest.Item) -> bool:
    known = getattr(item, "_fixtureinfo", None)
    definitions = [] if known is None else [each for some in known.name2fixturedefs.values() for each in some]
    return any(each.scope == "module" and each.baseid for each in definitions)  # those of plugins have no base
