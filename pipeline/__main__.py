"""`python -m pipeline plan|run|status`: all that a box needs."""

from __future__ import annotations

import atexit
import gc
import sys

if __name__ == "__main__":
    from pipeline.cli import main

    atexit.register(gc.freeze)  # the end looks through all that was loaded for garbage, a tenth of a second long
    sys.exit(main())
