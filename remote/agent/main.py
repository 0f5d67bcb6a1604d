"""What the agent's program does, by its first argument."""

from __future__ import annotations

import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """`serve ROOT`, `supervise ROOT JOB_FOLDER LOCKS…`, `deadman ROOT`, `resume ROOT`, or one of the sync commands."""
    command, root = arguments[0], Path(arguments[1])
    program = Path(sys.argv[0]).resolve()
    program = program if program.is_dir() else program.parent
    if command == "serve":
        from remote.agent.serve import serve

        serve(root, program)
        return 0
    if command == "supervise":
        from remote.agent.supervise import supervise

        supervise(root, program, Path(arguments[2]), [int(each) for each in arguments[3:]])
        return 0
    if command == "deadman":
        from remote.agent import deadman

        return deadman.main(root, program)
    if command == "resume":
        from remote.agent.resume import resume

        resume(root, program)
        return 0
    from remote.agent.transfer import transfer

    return transfer(command, root)
