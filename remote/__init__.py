"""Machines and how to reach them: clouds, provisioning, SSH transport, sync, jobs and the money they cost."""
