"""One transfer at a time per half-received thing; what a dead connection left behind is ended, not waited for.

A frozen or cut connection leaves its process on the box reading from nobody for a while. Its lock must not keep the
next transfer from going on with what arrived.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from pathlib import Path

PATIENCE_S = 8.0
SILENT_S = 4.0
"""A transfer that wrote nothing for so long is taken for orphaned when somebody else wants to go on."""
LOOK_EVERY_S = 0.05
BUSY_S = 1.0
"""A holder that was seen writing for so long is at work: leave it."""


def claim(handle: int) -> bool:
    """Lock what `handle` is open on, ending a silent holder; False when another transfer is at work on it."""
    began = time.monotonic()
    changes = 0
    last = os.fstat(handle).st_mtime_ns
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            return True
        waited_s = time.monotonic() - began
        found = os.fstat(handle)
        if found.st_mtime_ns != last:
            last, changes = found.st_mtime_ns, changes + 1
        if waited_s > PATIENCE_S or (changes and waited_s > BUSY_S):
            return False
        if time.time() - found.st_mtime > SILENT_S:
            _end_holder(found)
        time.sleep(LOOK_EVERY_S)


def _end_holder(found: os.stat_result) -> None:
    """End the transfer that holds the lock of this inode, if it is one of ours (Linux tells who it is)."""
    inode = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    try:
        locks = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return
    for line in locks:
        words = line.split()
        if len(words) < 6 or words[1] != "FLOCK" or words[5] != inode or int(words[4]) in (0, os.getpid()):
            continue
        try:
            command = Path(f"/proc/{words[4]}/cmdline").read_bytes().split(b"\0")
            if any(word.startswith(b"receive-") for word in command):
                os.kill(int(words[4]), signal.SIGTERM)
        except OSError:
            continue  # it ended meanwhile
