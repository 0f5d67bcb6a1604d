"""One emulated instance: a real SSH server as a process of its own, and everything that is started through it."""
