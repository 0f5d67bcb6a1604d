"""What the agent's program does, by its first argument."""

from __future__ import annotations

import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """`serve ROOT`, `supervise ROOT JOB_FOLDER`, or one of the sync commands with ROOT."""
    command, root = arguments[0], Path(arguments[1])
    program = Path(sys.argv[0]).resolve()
    if command == "serve":
        from remote.agent.serve import serve

        serve(root, program if program.is_dir() else program.parent)
        return 0
    if command == "supervise":
        from remote.agent.supervise import supervise

        supervise(root, Path(arguments[2]))
        return 0
    from remote.agent.transfer import transfer

    return transfer(command, root)
