"""Where a box caches models and packages, and the settings of torch's allocator: one file that every job gets."""

from __future__ import annotations

import json
import posixpath
import shlex
from collections.abc import Mapping

from remote.bootstrap.box import Box
from remote.bootstrap.hashing import hash_of
from remote.bootstrap.steps import Step, StepUnmet
from remote.jobs import Agent

ENV_FILE, SHELL_FILE = "env.json", "env.sh"
"""Below the root: for `job_environment`, and for a person in a shell (`. ~/spotter/env.sh`)."""

ALLOCATOR = "expandable_segments:True,max_split_size_mb:128"
"""Pairs of `name:value`; memory that grows in place fragments less with pages of many sizes."""


class NotBootstrapped(Exception):
    """The box has no environment file."""


def cache_environment(root: str) -> dict[str, str]:
    """What jobs and services get in their environment. Everything lies below `<root>/models`, which outlives restarts.

    TRANSFORMERS_CACHE is for transformers 4 and is what HF_HOME implies; PYTORCH_CUDA_ALLOC_CONF is the name that torch
    knew before 2.9, PYTORCH_ALLOC_CONF the one since.
    """
    models = f"{root}/models"
    return {
        "MODEL_DIR": models,
        "HF_HOME": f"{models}/hf_cache",
        "TRANSFORMERS_CACHE": f"{models}/hf_cache/hub",
        "TORCH_HOME": f"{models}/torch",
        "PIP_CACHE_DIR": f"{models}/pip_cache",
        "UV_CACHE_DIR": f"{models}/uv_cache",
        "PYTORCH_CUDA_ALLOC_CONF": ALLOCATOR,
        "PYTORCH_ALLOC_CONF": ALLOCATOR,
    }


def job_environment(agent: Agent) -> dict[str, str]:
    """The environment that every job and service of this box begins with, as its bootstrap wrote it.

    Raises:
        NotBootstrapped: it was not.
    """
    data = agent.follow(ENV_FILE, 0)
    if not data:
        raise NotBootstrapped(f"{agent.root}/{ENV_FILE} is not on the box: `spotter bootstrap` makes it ready")
    environment: dict[str, str] = json.loads(data)
    return environment


def caches_step() -> Step:
    """Folders and environment files; nothing is downloaded."""
    return Step("caches", hash_of(sorted(cache_environment("."))), _check, _make, 60)


def _check(box: Box) -> Mapping[str, str]:
    environment = cache_environment(box.root)
    for name, text in _files(environment).items():
        if box.agent.follow(name, 0) != text:
            raise StepUnmet(f"{box.root}/{name} is not there as it should be")
    for folder in _folders(environment):
        if not box.agent.stat(folder)["exists"]:
            raise StepUnmet(f"{folder} is missing")
    return environment


def _make(box: Box) -> None:
    environment = cache_environment(box.root)
    box.expect(["mkdir", "-p", *_folders(environment)])
    for name, text in _files(environment).items():
        box.agent.write(name, text)


def _folders(environment: Mapping[str, str]) -> list[str]:
    return [value for value in environment.values() if posixpath.isabs(value)]


def _files(environment: Mapping[str, str]) -> dict[str, bytes]:
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
    return {ENV_FILE: json.dumps(environment, indent=1).encode(), SHELL_FILE: exports.encode()}
