"""What every test needs of its own process."""

from __future__ import annotations

import signal

# A process started in the background of a shell has SIGINT ignored, and so would every process that tests start:
# Ctrl-C is part of what is tested here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
