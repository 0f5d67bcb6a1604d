"""Where a box caches, and how jobs and people in a shell get to know."""

from __future__ import annotations

import json

import pytest

from remote.bootstrap.caches import ALLOCATOR, NotBootstrapped, caches_step, job_environment
from remote.bootstrap.run import bootstrap
from remote.jobs import Agent, JobSpec
from remote.transport import Transport
from tests.remote.sshd import Sshd


def test_jobs_and_shells_get_the_same_caches_which_outlive_them(sshd: Sshd, transport: Transport) -> None:
    root = sshd.home / "spotter's root"
    with Agent.start(transport, str(root)) as agent:
        with pytest.raises(NotBootstrapped, match="spotter bootstrap"):
            job_environment(agent)
        assert bootstrap(transport, str(root), [caches_step()])[0].outcome == "ran"
        environment = job_environment(agent)
        script = 'for name; do eval "echo \\"$name=\\$$name\\""; done'
        agent.launch(JobSpec("look", ("sh", "-c", script, "sh", *environment), env=environment))
        assert agent.wait("look", timeout_s=60).exit_code == 0
        in_job = agent.follow("jobs/look/log", 0).decode()
        in_shell = transport.run(["sh", "-c", f'. "$0"; {script}', str(root / "env.sh"), *environment]).stdout.decode()
    told = dict(line.split("=", 1) for line in in_job.splitlines())
    assert told == environment == dict(line.split("=", 1) for line in in_shell.splitlines())
    assert told["PYTORCH_CUDA_ALLOC_CONF"] == ALLOCATOR
    assert told["HF_HOME"] == f"{root}/models/hf_cache"
    kept = root / "models" / "hf_cache" / "weights"
    kept.write_text("large")
    (root / "env.json").write_text(json.dumps({"HF_HOME": "/elsewhere"}))
    (root / "models" / "torch").rmdir()
    assert bootstrap(transport, str(root), [caches_step()])[0].outcome == "ran"
    assert kept.read_text() == "large"
    assert bootstrap(transport, str(root), [caches_step()])[0].outcome == "kept"
