"""What only a process of its own can show: Ctrl-C, and what an import costs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from tests.remote.sshd import Sshd, signal_all

WAITS = {
    "a command": "transport.run('exec sleep 20', timeout_s=60)",
    "a stream": "transport.open('exec sleep 20').read()",
    "a job": "agent.wait('long')",
    "a growing file": "agent.follow('nothing', 0, wait_s=20)",
    "a connection": "connect([silent], user='x', key_path=key, pin_path=pin)",
}

PROGRAM = """
import socket, sys
from pathlib import Path
from remote.cloud import Endpoint
from remote.jobs import Agent, JobSpec
from remote.transport import connect
port, user, key, pin = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
mute = socket.create_server(("127.0.0.1", 0))
silent = Endpoint("direct", "127.0.0.1", mute.getsockname()[1])
transport = connect([Endpoint("direct", "127.0.0.1", port)], user=user, key_path=key, pin_path=pin)
agent = Agent.start(transport, "spotter")
agent.launch(JobSpec("long", ("sleep", "300")))
print("ready", flush=True)
try:
    {wait}
except KeyboardInterrupt:
    agent.cancel("long")
    agent.wait("long", timeout_s=60)
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("what", WAITS)
def test_ctrl_c_ends_the_wait_for(sshd: Sshd, what: str) -> None:
    arguments = [str(sshd.port), sshd.user, str(sshd.key_path), str(sshd.pin_path)]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("{wait}", WAITS[what]), *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert (rest, process.returncode) == ("interrupted\n", 0)
    assert time.monotonic() - began < 15
    signal_all((each for each in sshd.leftovers() if "sleep" in each.cmdline()), signal.SIGKILL)


def test_no_module_of_the_public_face_imports_paramiko() -> None:
    modules = ["transport", "jobs", "release", "sync.push", "sync.pull", "bootstrap.run", "bootstrap.defaults"]
    program = f"import sys; import {', '.join('remote.' + name for name in modules)}; print('paramiko' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
