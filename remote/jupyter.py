"""Jupyter on a box: on its loopback only, on the worker's environment, let in by a token that no command line shows."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from typing import Literal

from remote.jobs import Agent
from remote.services import ServiceSpec
from remote.ssh.forward import LOOPBACK

SERVICE_NAME = "jupyter"
KERNEL_NAME = "spotter-worker"
KERNEL_TITLE = "Spotter (worker)"

Auth = Literal["token", "none"]


def prepare_jupyter(agent: Agent, python: str, notebook_dir: str, environment: Mapping[str, str]) -> None:
    """Register the worker's interpreter as Jupyter's kernel, and make the folders that it needs.

    Args:
        agent: the box.
        python: absolute path of the interpreter that jobs use there, as the bootstrap recorded it; it has ipykernel.
        notebook_dir: below the Spotter root or absolute.
        environment: what jobs get too, so that a notebook computes what a job computes.
    """
    kernel = {
        "argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": KERNEL_TITLE,
        "language": "python",
        "metadata": {"debugger": True},
        "env": {**environment, "PYTHONPATH": f"{agent.root}/current", "PYTHONDONTWRITEBYTECODE": "1"},
    }
    folders = [f"{_home(agent)}/runtime", posixpath.join(agent.root, notebook_dir)]
    agent.transport.check(["sh", "-c", 'umask 077; mkdir -p "$@"', "sh", *folders])
    agent.write(f"jupyter/kernels/{KERNEL_NAME}/kernel.json", json.dumps(kernel, indent=1).encode())


def jupyter_service(
    agent: Agent, python: str, notebook_dir: str, environment: Mapping[str, str], *, auth: Auth = "token"
) -> ServiceSpec:
    """JupyterLab as a service. The token reaches it by a file; with `auth="none"` whoever reaches the port is in.

    JupyterLab 4, jupyter_server 2. Its port is not given up for another one, and its only kernel is the worker's.
    """
    home = _home(agent)
    argv = [
        python, "-m", "jupyterlab", "--no-browser", "--allow-root",
        f"--ip={LOOPBACK}", "--port={port}", "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={posixpath.join(agent.root, notebook_dir)}",
        "--KernelSpecManager.ensure_native_kernel=False",
        f"--MultiKernelManager.default_kernel_name={KERNEL_NAME}",
        "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    env = {
        **environment,
        "JUPYTER_PATH": home,
        "JUPYTER_CONFIG_DIR": f"{home}/config",
        "JUPYTER_DATA_DIR": f"{home}/data",
        "JUPYTER_RUNTIME_DIR": f"{home}/runtime",
    }
    if auth == "none":
        argv.append("--IdentityProvider.token=")
    else:
        env["JUPYTER_TOKEN_FILE"] = "{token_file}"  # noqa: S105 (a name)
    return ServiceSpec(
        SERVICE_NAME, tuple(argv), env=env, token=auth == "token", open_path="/lab", ready_path="/api/status"
    )


def _home(agent: Agent) -> str:
    return f"{agent.root}/jupyter"
