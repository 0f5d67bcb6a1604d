"""Jupyter on a box: on its loopback only, on the worker's environment, let in by a token that no command line shows."""

from __future__ import annotations

import posixpath
import shlex
from importlib import resources
from typing import Literal

from remote.jobs import Agent
from remote.services import ServiceError, ServiceSpec
from remote.ssh.forward import LOOPBACK

SERVICE_NAME = "jupyter"
KERNEL_NAME = "spotter-worker"
KERNEL_TITLE = "Spotter (worker)"
REQUIREMENTS = "worker-jupyter.txt"
INSTALL_LIMIT_S = 900.0
IMPORTS = "import jupyterlab, jupyter_server, ipykernel"

Auth = Literal["token", "none"]


class NoJupyter(ServiceError):
    """JupyterLab is not on the box and could not be installed there; the text has pip's last lines."""


def prepare_jupyter(agent: Agent, python: str, notebook_dir: str) -> None:
    """Install JupyterLab beside the worker's libraries if it is missing, and register the worker as its only kernel.

    Args:
        agent: the box.
        python: absolute path of the interpreter that jobs use there, as the bootstrap recorded it.
        notebook_dir: below the Spotter root or absolute; made if it is not there.

    Raises:
        NoJupyter: it cannot be installed.
    """
    transport = agent.transport
    if transport.run([python, "-c", IMPORTS], timeout_s=120).exit_code != 0:
        _install(agent, python)
    home = _home(agent)
    kernel = [python, "-m", "ipykernel", "install", "--prefix", home, "--name", KERNEL_NAME]
    kernel += ["--display-name", KERNEL_TITLE, "--env", "PYTHONPATH", f"{agent.root}/current"]
    folders = ["mkdir", "-p", f"{home}/runtime", posixpath.join(agent.root, notebook_dir)]
    transport.check(f"umask 077; {shlex.join(folders)} && {shlex.join(kernel)}", timeout_s=120)


def jupyter_service(agent: Agent, python: str, notebook_dir: str, *, auth: Auth = "token") -> ServiceSpec:
    """JupyterLab as a service. The token reaches it by a file; with `auth="none"` whoever reaches the port is in."""
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
        "JUPYTER_PATH": f"{home}/share/jupyter",
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


def _install(agent: Agent, python: str) -> None:
    """The versions of the lock, with their hashes, into the environment that jobs use."""
    text = resources.files("remote.bootstrap").joinpath("requirements", REQUIREMENTS).read_bytes()
    path = agent.write(f"bootstrap/{REQUIREMENTS}", text)
    pip = [python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--require-hashes", "-r", path]
    done = agent.transport.run(pip, timeout_s=INSTALL_LIMIT_S)
    if done.exit_code != 0:
        said = " | ".join(done.last_lines(4).splitlines())
        raise NoJupyter(
            f"JupyterLab is not on the box and pip could not install it into {python}: {said}. "
            "Choose an image that has it, or mend the box's network and try again"
        )


def _home(agent: Agent) -> str:
    return f"{agent.root}/jupyter"
