"""What every test needs of its own process."""

from __future__ import annotations

import os
import signal
import sys

# A process started in the background of a shell has SIGINT ignored, and so would every process that tests start:
# Ctrl-C is part of what is tested here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests start hundreds of processes that load the same modules: compiled once is enough, whatever the shell says.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
