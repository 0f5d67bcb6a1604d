"""`python -m pipeline plan|run|status`: all that a box needs."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from pipeline.cli import main

    sys.exit(main())
